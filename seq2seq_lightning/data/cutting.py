"""Where batches begin in rows that stand in their order: as many rows as a size allows, none too many."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from seq2seq_lightning.data.plan import Lengths

Starts = NDArray[np.int64]


def by_sentences(source_lengths: Lengths, size: int, same_source_length: bool) -> Starts:
    """Batches of ``size`` rows, in each stretch of one source length if asked."""
    bounds = _bounds(source_lengths, same_source_length)
    counts = -(-np.diff(bounds) // size)  # batches of each stretch
    within = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts)
    return np.repeat(bounds[:-1], counts) + within * size


def by_positions(source_lengths: Lengths, label_lengths: Lengths, size: int, same_source_length: bool) -> Starts:
    """Batches of at most ``size`` positions, padding included: rows × (longest source + longest labels).

    Each batch takes rows as long as they fit. What a further row would need is looked up for as many rows as could fit
    at most, so that a batch costs one look and not one per row.
    """
    bounds = _bounds(source_lengths, same_source_length)
    starts, begin = [], 0
    while begin < len(source_lengths):
        starts.append(begin)
        end = bounds[np.searchsorted(bounds, begin, side="right")]
        end = min(int(end), begin + size // (int(source_lengths[begin]) + int(label_lengths[begin])) + 1)
        begin += _fitting(source_lengths[begin:end], label_lengths[begin:end], size)
    return np.array(starts, dtype=np.int64)


def _fitting(source_lengths: Lengths, label_lengths: Lengths, size: int) -> int:
    """How many of the first rows fit into one batch: at least one."""
    widths = np.maximum.accumulate(source_lengths).astype(np.int64) + np.maximum.accumulate(label_lengths)
    needed = widths * np.arange(1, len(widths) + 1)
    return max(1, int(np.searchsorted(needed, size, side="right")))


def _bounds(source_lengths: Lengths, same_source_length: bool) -> Starts:
    """Where stretches that batches may not cross begin, and the end: each source length is one, or all are."""
    inside = np.flatnonzero(source_lengths[1:] != source_lengths[:-1]) + 1 if same_source_length else np.empty(0, int)
    return np.concatenate([[0], inside, [len(source_lengths)]]).astype(np.int64)
