"""Pairs of texts, the corpus a task yields, and a split as ids ready for batching."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from itertools import islice
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from seq2seq_lightning.errors import DataError
from seq2seq_lightning.randomness import uniforms
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.text.copying import Copying


@dataclass(frozen=True, slots=True)
class Pair:
    """A source text, the target to learn from, and every reference a hypothesis may be compared with."""

    source: str
    target: str
    references: tuple[str, ...]

    @classmethod
    def of(cls, source: str, target: str) -> Pair:
        """A pair whose only reference is its target."""
        return cls(source, target, (target,))


Ids = NDArray[np.integer]
Offsets = NDArray[np.int64]
BLOCK = 1 << 16  # offsets looked at at once


class Pairs(Protocol):
    """Pairs that can be walked any number of times, always with the same result: a list, or a ``Stream``."""

    def __iter__(self) -> Iterator[Pair]: ...

    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class Stream:
    """Pairs that are read anew at each walk, so that a corpus of any size takes no memory.

    walk: begins at the first pair each time; count: how many pairs it gave when it was read first; name: of what is
    read, for messages.
    """

    walk: Callable[[], Iterator[Pair]]
    count: int
    name: str

    def __iter__(self) -> Iterator[Pair]:
        found = 0
        for pair in self.walk():
            found += 1
            yield pair
        if found != self.count:
            raise DataError(
                f"{self.name}: {found} pairs are there now, where {self.count} were read before: the data changed "
                "while in use. Start again once they stay as they are."
            )

    def __len__(self) -> int:
        return self.count


@dataclass
class Corpus:
    """What a task reads. No split is invented: ``val`` is None where none was given."""

    train: Pairs
    val: list[Pair] | None = None
    test: dict[str, list[Pair]] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)  # "<split>/<reason>" → pairs left out

    def train_sample(self, count: int) -> list[Pair]:
        """``count`` distinct training pairs, always the same ones, or all of them if there are fewer.

        Drawn from a stream of its own, so that the sample depends neither on a run's seed nor on duplicates.
        """
        distinct = _first_rows(self.train)
        keys = uniforms(0, "train_sample", 0, torch.arange(len(distinct)), 1)[:, 0]
        chosen = keys.argsort(stable=True)[:count].sort().values.numpy()
        return rows_of(self.train, distinct[chosen].tolist())


def rows_of(pairs: Pairs, rows: Iterable[int]) -> list[Pair]:
    """The pairs of ascending rows, by one walk."""
    walk, after = iter(pairs), 0
    found = []
    for row in rows:
        found.append(next(islice(walk, row - after, None)))
        after = row + 1
    return found


def _first_rows(pairs: Pairs) -> NDArray[np.int64]:
    """The rows of distinct pairs, each where it is met first, ascending; texts are told apart by 128-bit digests."""
    digests = bytearray()
    for pair in pairs:
        text = "\0".join((pair.source, pair.target, *pair.references))
        digests += blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    keys = np.frombuffer(digests, dtype=[("high", np.uint64), ("low", np.uint64)])
    order = np.lexsort((keys["low"], keys["high"]))  # stable: among equals the first row comes first
    is_new = np.ones(len(order), dtype=bool)
    is_new[1:] = keys[order[1:]] != keys[order[:-1]]
    return np.sort(order[is_new])


@dataclass(frozen=True)
class EncodedSplit:
    """The ids of a split in flat arrays, which can be memory-mapped and are shared with worker processes.

    Row r of the source is ``source_ids[source_offsets[r] : source_offsets[r + 1]]``; the target likewise.
    Ids are int32, or uint16 in a cached split whose vocabulary allows it; offsets int64. Targets carry no marks. A
    split made for copying has ``copy_ids``, and its ``target_ids`` go beyond the vocabulary where a target repeats an
    unknown word of its source.
    """

    source_ids: Ids
    source_offsets: Offsets
    target_ids: Ids
    target_offsets: Offsets
    copy_ids: Ids | None = None  # beside source_ids, for copying: see ``text.copying``
    first: int = 0  # the pair of the training split that is row 0, where this is a part of it

    def __len__(self) -> int:
        return len(self.source_offsets) - 1

    @property
    def parts_per_epoch(self) -> int:
        """One: see ``Parts``."""
        return 1

    def part(self, number: int) -> EncodedSplit:
        """A split that is there as a whole is its own part at every epoch: see ``Parts``."""
        del number
        return self

    def ahead(self, number: int) -> None:
        """Nothing is to be prepared."""

    @cached_property
    def source_lengths(self) -> NDArray[np.integer]:
        """Positions of each source, marks included: (rows,), of the smallest type that holds one more."""
        return _lengths(self.source_offsets)

    @cached_property
    def target_lengths(self) -> NDArray[np.integer]:
        """Tokens of each target, without marks: (rows,), of the smallest type that holds one more."""
        return _lengths(self.target_offsets)

    def label_lengths(self, target_eos: bool) -> NDArray[np.integer]:
        """Labels of each target: its tokens, and eos where the model learns to stop: (rows,), none of them zero."""
        lengths = self.target_lengths + int(target_eos)
        empty = np.flatnonzero(lengths == 0)
        if len(empty):
            raise DataError(
                f"Pair {self.first + empty[0] + 1} has an empty target, so nothing could be learnt from it "
                f"({len(empty)} such pairs). Remove them, or set `text.target.eos=true`."
            )
        return lengths


def _lengths(offsets: Offsets) -> NDArray[np.integer]:
    """How far each row reaches, found block by block, as offsets may be mapped and many."""
    blocks = [offsets[start : start + BLOCK + 1] for start in range(0, len(offsets) - 1, BLOCK)]
    longest = max((int(np.diff(block).max()) for block in blocks), default=0)
    found = np.empty(len(offsets) - 1, dtype=np.min_scalar_type(longest + 1))
    for index, block in enumerate(blocks):
        found[index * BLOCK : (index + 1) * BLOCK] = np.diff(block)
    return found


class Parts(Protocol):
    """A training split as parts that are batched one after another: the whole, once an epoch, or buffers of a stream.

    Parts count on over the epochs: with three of them, part 4 is the second part of the second epoch.
    """

    def __len__(self) -> int:
        """Rows of all parts."""

    @property
    def parts_per_epoch(self) -> int:
        """How many an epoch has."""

    def part(self, number: int) -> EncodedSplit:
        """The ids of a part."""

    def ahead(self, number: int) -> None:
        """Begin to prepare a part, which will be asked for soon."""


class RowsOfIds(Protocol):
    """Where the rows of one side go."""

    def append(self, ids: list[int]) -> None:
        """One more row."""


def encode_split(
    pairs: Iterable[Pair], source_codec: SourceCodec, target_codec: TargetCodec, copies: bool = False, first: int = 0
) -> EncodedSplit:
    """The ids of sources and targets. copies: for a model that copies words of the source; first: see EncodedSplit."""
    sources, targets, copied = RowsInMemory(), RowsInMemory(), RowsInMemory()
    encode_into(sources, targets, copied if copies else None, pairs, source_codec, target_codec, first)
    return EncodedSplit(*sources.flat(), *targets.flat(), copied.flat()[0] if copies else None, first)


def encode_into(
    sources: RowsOfIds,
    targets: RowsOfIds,
    copied: RowsOfIds | None,
    pairs: Iterable[Pair],
    source_codec: SourceCodec,
    target_codec: TargetCodec,
    first: int = 0,
) -> None:
    """Append the ids of each pair; copied: beside the sources, for a model that copies; first: see EncodedSplit."""
    copying = None if copied is None else Copying(source_codec, target_codec)
    for row, pair in enumerate(pairs, start=first + 1):
        try:
            sources.append(source_codec.encode(pair.source))
            if copying is None or copied is None:
                targets.append(target_codec.encode(pair.target))
            else:
                targets.append(copying.target_ids(pair.source, pair.target))
                copied.append(copying.source_ids(pair.source))
        except DataError as error:
            raise DataError(f"Pair {row}: {error}") from error


def encode_sources(texts: Iterable[str], source_codec: SourceCodec) -> EncodedSplit:
    """The ids of sources to translate; their targets are empty."""
    sources, targets = RowsInMemory(), RowsInMemory()
    for text in texts:
        sources.append(source_codec.encode(text))
        targets.append([])
    return EncodedSplit(*sources.flat(), *targets.flat())


class RowsInMemory:
    """Rows of ids, kept one after another as they come."""

    def __init__(self) -> None:
        self.ids, self.ends = array("i"), array("q", [0])

    def append(self, ids: list[int]) -> None:
        """One more row."""
        self.ids.extend(ids)
        self.ends.append(len(self.ids))

    def flat(self) -> tuple[Ids, Offsets]:
        """Ids one row after another, and where each row begins: (total,), (rows + 1,)."""
        return np.frombuffer(self.ids, dtype=np.int32), np.frombuffer(self.ends, dtype=np.int64)
