"""Longer sentences for length studies: consecutive pairs of a split joined to one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from seq2seq_lightning.data.example import Pair


def joined(pairs: Iterable[Pair], count: int) -> Iterator[Pair]:
    """Each ``count`` consecutive pairs as one, a blank between their texts; the last one joins what is left."""
    rest = iter(pairs)
    while group := list(islice(rest, count)):
        yield _one(group) if len(group) > 1 else group[0]


def _one(group: Sequence[Pair]) -> Pair:
    """The pairs side by side; where one has fewer references than another, its target stands in."""
    most = max(len(pair.references) for pair in group)
    references = [
        " ".join(pair.references[place] if place < len(pair.references) else pair.target for pair in group)
        for place in range(most)
    ]
    source, target = (" ".join(getattr(pair, side) for pair in group) for side in ("source", "target"))
    return Pair(source, target, tuple(references))
