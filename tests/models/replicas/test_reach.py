"""Which replicas a loop computes at a position."""

from __future__ import annotations

import itertools

import pytest
import torch

from seq2seq_lightning.models.replicas.reach import Reach, Some


@pytest.mark.parametrize("rows", [1, 2])
def test_whoever_is_going_is_computed_and_nobody_comes_back(rows: int) -> None:
    for times in [*itertools.permutations((1, 2, 2, 4, 5)), (3, 3, 3)]:
        computed = [set(range(*some)) for some in Reach.even(times, rows, max(times)).going]
        assert len(computed) == max(times)
        for position, some in enumerate(computed):
            assert some >= {index for index, time in enumerate(times) if time > position}
        assert all(later <= earlier for earlier, later in itertools.pairwise(computed))


def test_nobody_is_computed_needlessly_where_memory_permits() -> None:
    reach = Reach.even([4, 1, 3, 1, 5], 1, 5)
    assert reach.going == [Some(0, 5, 1), Some(0, 5, 2), Some(0, 5, 2), Some(0, 5, 4), Some(4, 5, 1)]
    assert Reach.even([4, 1, 3, 1, 5], 2, 5).going[1] == Some(0, 5, 1)  # rows of neighbours must follow each other


def test_the_last_position_of_each_row() -> None:
    reach = Reach(torch.tensor([[2, 1], [3, 3]]), 3)
    held = torch.arange(3 * 4).view(3, 2, 2)  # (time, replicas, rows)
    assert held.flatten()[reach.last].tolist() == [held[1, 0, 0], held[0, 0, 1], held[2, 1, 0], held[2, 1, 1]]
    assert reach.ends == {0, 1, 2} and not reach.is_even
