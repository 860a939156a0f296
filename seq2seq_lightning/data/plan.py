"""A plan of batches in three flat arrays, so that ten million rows in batches take a few bytes each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Lengths = NDArray[np.integer]  # of any width: the smallest that holds them saves memory


class Plan(Sequence[Rows]):
    """Batches of rows in the order they are trained: a list of arrays, kept as one.

    rows: (total,), the rows of batch after batch; starts: (batches + 1,), where each begins, and the end of the last;
    order: (planned,), which batch is trained when.
    """

    def __init__(self, rows: NDArray[np.integer], starts: NDArray[np.integer], order: NDArray[np.integer]) -> None:
        self.rows, self.starts, self.order = rows, starts, order

    @staticmethod
    def of(batches: Sequence[Rows]) -> Plan:
        """Batches in the order they have; at least one."""
        bounds = np.cumsum([0, *map(len, batches)])
        return Plan(np.concatenate(batches).astype(np.int32), bounds, np.arange(len(batches)))

    def __len__(self) -> int:
        return len(self.order)

    @overload
    def __getitem__(self, index: int) -> Rows: ...

    @overload
    def __getitem__(self, index: slice) -> Plan: ...

    def __getitem__(self, index: int | slice) -> Rows | Plan:
        if isinstance(index, slice):
            return Plan(self.rows, self.starts, self.order[index])
        batch = self.order[index]
        return self.rows[self.starts[batch] : self.starts[batch + 1]].astype(np.int64)

    def __iter__(self) -> Iterator[Rows]:
        return (self[index] for index in range(len(self)))

    def positions(self, lengths: Lengths) -> tuple[int, int]:
        """How many positions of one side are real, and how many there are with padding, over all batches.

        lengths: (rows of the split,).
        """
        of_rows, starts = lengths[self.rows], self.starts[:-1]
        if not len(starts):
            return 0, 0
        sums = np.add.reduceat(of_rows, starts, dtype=np.int64)[self.order]
        widths = np.maximum.reduceat(of_rows, starts)[self.order].astype(np.int64)
        return int(sums.sum()), int((widths * np.diff(self.starts)[self.order]).sum())


def padding_share(plan: Plan, source_lengths: Lengths, label_lengths: Lengths) -> float:
    """Pad positions ÷ all positions over the batches of a plan, source and target together."""
    sides = [plan.positions(lengths) for lengths in (source_lengths, label_lengths)]
    real, padded = (sum(counts) for counts in zip(*sides, strict=True))
    return 1.0 - real / padded if padded else 0.0
