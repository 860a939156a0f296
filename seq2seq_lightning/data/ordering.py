"""Random and sorted orders of many rows, with little memory beside the order itself.

Each gives the very order that one stable sort of everything would give: rows are told apart by ranges of what they are
sorted by, and each range is sorted alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from seq2seq_lightning.data.plan import Lengths
from seq2seq_lightning.randomness import uniforms

BLOCK = 1 << 17  # rows that are sorted at once
DRAWN = 1 << 16  # rows that are drawn at once
SMALL = NDArray[np.int32]


def random_numbers(count: int, seed: int, stream: str, epoch: int) -> NDArray[np.float64]:
    """One uniform number per place 0 … count - 1: (count,)."""
    found = np.empty(count, dtype=np.float64)
    for start in range(0, count, DRAWN):
        places = torch.arange(start, min(start + DRAWN, count))
        found[start : start + DRAWN] = uniforms(seed, stream, epoch, places, 1)[:, 0].numpy()
    return found


def permutation(count: int, seed: int, stream: str, epoch: int) -> SMALL:
    """0 … count - 1 in random order: (count,)."""
    keys = random_numbers(count, seed, stream, epoch)
    ranges = -(-count // BLOCK)
    order, filled = np.empty(count, dtype=np.int32), 0
    for index in range(ranges):
        chosen = _between(keys, index / ranges, (index + 1) / ranges)
        chosen = chosen[np.argsort(keys[chosen], kind="stable")]
        order[filled : filled + len(chosen)] = chosen
        filled += len(chosen)
    return order


def by_length(rows: SMALL, source_lengths: Lengths, label_lengths: Lengths) -> SMALL:
    """Rows sorted by source length, equal ones by labels, and rows equal in both in the order they have."""
    ordered, filled = np.empty_like(rows), 0
    for part in _ranges(rows, source_lengths):
        for smaller in [part] if len(part) <= BLOCK else _ranges(part, label_lengths):
            if len(smaller) <= BLOCK:  # else all are equal, and stand as they are to stand
                smaller = smaller[np.lexsort((label_lengths[smaller], source_lengths[smaller]))]
            ordered[filled : filled + len(smaller)] = smaller
            filled += len(smaller)
    return ordered


def _between(keys: NDArray[np.float64], low: float, high: float) -> SMALL:
    """The places of keys in [low, high), ascending."""
    parts = []
    for start in range(0, len(keys), BLOCK):
        block = keys[start : start + BLOCK]
        parts.append((np.flatnonzero((block >= low) & (block < high)) + start).astype(np.int32))
    return np.concatenate(parts)


def _ranges(rows: SMALL, lengths: Lengths) -> Iterator[SMALL]:
    """The rows in parts by ascending ranges of length, in the order they have: at most BLOCK rows, or one length."""
    of_rows = lengths[rows]
    counts = _counts(of_rows)
    low = total = 0
    for length in np.flatnonzero(counts).tolist():
        if total and total + counts[length] > BLOCK:
            yield rows[(of_rows >= low) & (of_rows < length)]
            low, total = length, 0
        total += counts[length]
    yield rows[of_rows >= low]


def _counts(lengths: Lengths) -> NDArray[np.int64]:
    """How many there are of each length."""
    counts = np.zeros(int(lengths.max(initial=0)) + 1, dtype=np.int64)
    for start in range(0, len(lengths), BLOCK):
        counts += np.bincount(lengths[start : start + BLOCK], minlength=len(counts))
    return counts
