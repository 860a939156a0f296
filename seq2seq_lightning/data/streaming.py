"""A training split that is read, encoded and batched a buffer at a time, so that it takes neither memory nor disk.

The buffer is the shuffle buffer of streams: pairs are put in random order, or sorted by length, within it. Unlike one
that is refilled pair by pair, it is used up before the next one is read; so where training stands is told by two
numbers, and a resume reads again what lies before, without encoding it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from itertools import islice

from seq2seq_lightning.data.example import EncodedSplit, Pair, Pairs, Parts, encode_split
from seq2seq_lightning.data.stored_split import Codecs


def parts_of(pairs: Pairs, codecs: Codecs, buffer: int) -> Parts:
    """A training split as it is batched, without a cache: as a stream, or (buffer=0) in memory."""
    if buffer:
        return StreamedSplit(pairs, codecs, buffer)
    return encode_split(pairs, codecs.source, codecs.target, codecs.copies)


class StreamedSplit:
    """The parts of a training split, each of ``buffer`` pairs that follow each other; see ``Parts``.

    At most two are held: the current one, and the one that is prepared. Raises DataError where the pairs are no longer
    those that were counted.
    """

    def __init__(self, pairs: Pairs, codecs: Codecs, buffer: int) -> None:
        self.pairs, self.codecs, self.buffer = pairs, codecs, buffer
        self._walk: Iterator[Pair] = iter(())
        self._next: int | None = None  # the part that the walk stands before
        self._held: tuple[int, EncodedSplit] | None = None
        self._coming: tuple[int, Future[EncodedSplit]] | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def parts_per_epoch(self) -> int:
        """How many buffers the split fills; the last one may be shorter."""
        return -(-len(self.pairs) // self.buffer)

    def part(self, number: int) -> EncodedSplit:
        """The ids of a part: those held, those prepared, or read now."""
        if self._held is None or self._held[0] != number:
            self._held = None  # not one more in memory than needed
            prepared = self._prepared(number)
            self._held = number, self._read(number) if prepared is None else prepared
        return self._held[1]

    def ahead(self, number: int) -> None:
        """Read and encode a part beside the training."""
        if self._coming is None:
            self._coming = number, self._reader.submit(self._read, number)

    @cached_property
    def _reader(self) -> ThreadPoolExecutor:
        """One thread, which walks while nobody else does: whoever needs a part waits for it first."""
        return ThreadPoolExecutor(max_workers=1, thread_name_prefix="next buffer")

    def _prepared(self, number: int) -> EncodedSplit | None:
        """What is being made, waited for, if it is this part."""
        if self._coming is None:
            return None
        (coming, made), self._coming = self._coming, None
        found = made.result()
        return found if coming == number else None

    def _read(self, number: int) -> EncodedSplit:
        """The next pairs of the walk, or of a new one; the last part is read to the end, which checks the count."""
        place = number % self.parts_per_epoch
        first = place * self.buffer
        if self._next != number or not place:
            self._next = None
            self._walk = iter(self.pairs)
            deque(islice(self._walk, first), maxlen=0)
        is_last = place + 1 == self.parts_per_epoch
        pairs = islice(self._walk, None if is_last else self.buffer)
        split = encode_split(pairs, self.codecs.source, self.codecs.target, self.codecs.copies, first)
        self._next = number + 1
        return split
