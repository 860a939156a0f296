"""Pairs of texts, the corpus a task yields, and a split as ids ready for batching."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

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


@dataclass
class Corpus:
    """What a task reads. No split is invented: ``val`` is None where none was given."""

    train: list[Pair]
    val: list[Pair] | None = None
    test: dict[str, list[Pair]] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)  # "<split>/<reason>" → pairs left out

    def train_sample(self, count: int) -> list[Pair]:
        """``count`` distinct training pairs, always the same ones, or all of them if there are fewer.

        Drawn from a stream of its own, so that the sample depends neither on a run's seed nor on duplicates.
        """
        distinct = list(dict.fromkeys(self.train))
        keys = uniforms(0, "train_sample", 0, torch.arange(len(distinct)), 1)[:, 0]
        chosen = keys.argsort(stable=True)[:count].sort().values
        return [distinct[row] for row in chosen.tolist()]


@dataclass(frozen=True)
class EncodedSplit:
    """The ids of a split in flat arrays, which can be memory-mapped and are shared with worker processes.

    Row r of the source is ``source_ids[source_offsets[r] : source_offsets[r + 1]]``; the target likewise.
    Ids are int32, offsets int64. Targets carry no marks. A split made for copying has ``copy_ids``, and its
    ``target_ids`` go beyond the vocabulary where a target repeats an unknown word of its source.
    """

    source_ids: NDArray[np.int32]
    source_offsets: NDArray[np.int64]
    target_ids: NDArray[np.int32]
    target_offsets: NDArray[np.int64]
    copy_ids: NDArray[np.int32] | None = None  # beside source_ids, for copying: see ``text.copying``

    def __len__(self) -> int:
        return len(self.source_offsets) - 1

    @cached_property
    def source_lengths(self) -> NDArray[np.int64]:
        """Positions of each source, marks included: (rows,)."""
        return np.diff(self.source_offsets)

    @cached_property
    def target_lengths(self) -> NDArray[np.int64]:
        """Tokens of each target, without marks: (rows,)."""
        return np.diff(self.target_offsets)

    def label_lengths(self, target_eos: bool) -> NDArray[np.int64]:
        """Labels of each target: its tokens, and eos where the model learns to stop: (rows,), none of them zero."""
        lengths = self.target_lengths + int(target_eos)
        empty = np.flatnonzero(lengths == 0)
        if len(empty):
            raise DataError(
                f"Pair {empty[0] + 1} has an empty target, so nothing could be learnt from it ({len(empty)} such "
                "pairs). Remove them, or set `text.target.eos=true`."
            )
        return lengths


def encode_split(
    pairs: Iterable[Pair], source_codec: SourceCodec, target_codec: TargetCodec, copies: bool = False
) -> EncodedSplit:
    """The ids of sources and targets. copies: for a model that copies words of the source."""
    sources: list[list[int]] = []
    targets: list[list[int]] = []
    copied: list[list[int]] = []
    copying = Copying(source_codec, target_codec) if copies else None
    for row, pair in enumerate(pairs, start=1):
        try:
            sources.append(source_codec.encode(pair.source))
            if copying is None:
                targets.append(target_codec.encode(pair.target))
            else:
                targets.append(copying.target_ids(pair.source, pair.target))
                copied.append(copying.source_ids(pair.source))
        except DataError as error:
            raise DataError(f"Pair {row}: {error}") from error
    return EncodedSplit(*_flatten(sources), *_flatten(targets), _flatten(copied)[0] if copies else None)


def encode_sources(texts: Iterable[str], source_codec: SourceCodec) -> EncodedSplit:
    """The ids of sources to translate; their targets are empty."""
    sources = [source_codec.encode(text) for text in texts]
    return EncodedSplit(*_flatten(sources), *_flatten([[]] * len(sources)))


def _flatten(rows: Sequence[list[int]]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Ids one row after another, and where each row begins: (total,), (rows + 1,)."""
    offsets = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum([len(row) for row in rows], out=offsets[1:])
    return np.fromiter(chain.from_iterable(rows), dtype=np.int32, count=int(offsets[-1])), offsets
