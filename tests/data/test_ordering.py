"""Orders and cuts made in pieces are those of one stable sort, and of one greedy pass over the rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_lightning.data import ordering
from seq2seq_lightning.data.cutting import by_positions, by_sentences
from seq2seq_lightning.data.ordering import by_length, permutation
from seq2seq_lightning.data.plan import Plan
from seq2seq_lightning.randomness import uniforms


@pytest.fixture(params=[7, 100, 1 << 19])
def in_pieces(request, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of any size."""
    monkeypatch.setattr(ordering, "BLOCK", request.param)


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize("count", [0, 1, 2, 301])
def test_a_permutation_is_one_stable_sort_of_random_numbers(count: int):
    keys = uniforms(5, "order", 3, torch.arange(count), 1)[:, 0].numpy()
    order = permutation(count, 5, "order", 3)
    assert order.tolist() == np.argsort(keys, kind="stable").tolist()
    assert order.dtype == np.int32


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize("longest", [1, 2, 30, 3000])
def test_rows_by_length_are_one_stable_sort_by_both(longest: int):
    source, labels = np.random.default_rng(0).integers(1, longest + 1, size=(2, 301)).astype(np.uint16)
    rows = np.random.default_rng(1).permutation(301).astype(np.int32)
    expected = rows[np.lexsort((labels[rows], source[rows]))]
    assert by_length(rows, source, labels).tolist() == expected.tolist()


def test_no_rows_have_an_order_too():
    nothing = np.empty(0, dtype=np.int32)
    assert len(by_length(nothing, nothing, nothing)) == 0


def greedy(source: list[int], labels: list[int], size: int, same: bool, counts_positions: bool) -> list[int]:
    """Where a batch begins because the next row would not fit, row after row."""
    starts, begin = [], 0
    for row in range(len(source)):
        rows = slice(begin, row + 1)
        needed = row + 1 - begin
        if counts_positions:
            needed *= max(source[rows]) + max(labels[rows])
        if row == begin or needed > size or (same and source[row] != source[begin]):
            starts.append(row)
            begin = row
    return starts


lengths = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=40)


@settings(deadline=None)
@given(rows=lengths, size=st.integers(1, 60), same=st.booleans(), is_sorted=st.booleans())
def test_batches_begin_where_a_row_does_not_fit(rows: list, size: int, same: bool, is_sorted: bool):
    rows = sorted(rows) if is_sorted else rows
    source, labels = ([row[side] for row in rows] for side in (0, 1))
    narrow, wide = np.array(source, dtype=np.uint8), np.array(labels, dtype=np.uint8)
    assert by_sentences(narrow, size, same).tolist() == greedy(source, labels, size, same, False)
    assert by_positions(narrow, wide, size + 18, same).tolist() == greedy(source, labels, size + 18, same, True)


def test_a_plan_is_a_sequence_of_batches_in_its_order():
    plan = Plan(np.array([4, 3, 2, 1, 0], dtype=np.int32), np.array([0, 2, 3, 5]), np.array([2, 0]))
    assert [batch.tolist() for batch in plan] == [[1, 0], [4, 3]]
    assert plan[-1].tolist() == [4, 3] and plan[0].dtype == np.int64
    assert [batch.tolist() for batch in plan[1:]] == [[4, 3]] and len(plan[1:]) == 1 and list(plan[2:]) == []
    assert plan.positions(np.array([5, 1, 9, 2, 3])) == (5 + 1 + 3 + 2, 2 * 5 + 2 * 3)
    with pytest.raises(IndexError):
        plan[2]
