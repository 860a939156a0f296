from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from seq2seq_lightning.data.batch import Batch, collate
from seq2seq_lightning.data.example import EncodedSplit


def split_of(sources: list[list[int]], targets: list[list[int]]) -> EncodedSplit:
    flat = []
    for side in (sources, targets):
        flat.append(np.array([index for row in side for index in row], dtype=np.int32))
        flat.append(np.cumsum([0, *map(len, side)]))
    return EncodedSplit(*flat)


SPLIT = split_of([[7, 8, 2], [9, 2], [6, 2]], [[4, 5], [6, 7, 8], []])


def batch_of(rows: list[int], marks, **options) -> Batch:
    return collate(SPLIT, np.array(rows), np.arange(len(rows)), 11, 3, marks, **options)


def test_rows_are_padded_on_the_right(marks):
    batch = batch_of([1, 0, 2], marks)
    assert batch.source.tolist() == [[9, 2, 0], [7, 8, 2], [6, 2, 0]]
    assert batch.source_lengths.tolist() == [2, 3, 2]
    assert batch.indices.tolist() == [1, 0, 2]
    assert batch.places.tolist() == [0, 1, 2]
    assert batch.label_count == 11 and batch.sentence_count == len(batch) == 3
    assert batch.source.dtype == batch.target_inputs.dtype == batch.source_lengths.dtype == torch.int64


def test_inputs_begin_with_bos_and_labels_end_with_eos(marks):
    batch = batch_of([1, 0, 2], marks)
    assert batch.target_inputs.tolist() == [[1, 6, 7, 8], [1, 4, 5, 0], [1, 0, 0, 0]]
    assert batch.target_labels.tolist() == [[6, 7, 8, 2], [4, 5, 2, 0], [2, 0, 0, 0]]
    assert batch.target_lengths.tolist() == [4, 3, 1]


def test_without_eos_the_last_token_is_a_label_and_no_input(marks):
    batch = batch_of([1, 0], marks, target_eos=False)
    assert batch.target_inputs.tolist() == [[1, 6, 7], [1, 4, 0]]
    assert batch.target_labels.tolist() == [[6, 7, 8], [4, 5, 0]]
    assert batch.target_lengths.tolist() == [3, 2]


def test_a_filler_has_no_labels_but_lengths(marks):
    batch = batch_of([0], marks, filler=True)
    assert batch.target_labels.tolist() == [[0, 0, 0]]
    assert batch.target_lengths.tolist() == [3]
    assert batch.source_lengths.tolist() == [3]


@pytest.mark.parametrize("target_eos", [True, False])
def test_a_row_alone_equals_itself_in_any_batch_up_to_padding(marks, random_split, target_eos: bool):
    split = random_split(40)
    rows = np.random.default_rng(1).permutation(40)
    together = collate(split, rows, np.arange(40), 1, 40, marks, target_eos)
    for place, row in enumerate(rows):
        alone = collate(split, rows[place : place + 1], np.array([place]), 1, 40, marks, target_eos)
        for name in ("source", "target_inputs", "target_labels"):
            width = getattr(alone, name).shape[1]
            assert torch.equal(getattr(together, name)[place, :width], getattr(alone, name)[0])
            assert (getattr(together, name)[place, width:] == marks.pad).all()
        for name in ("source_lengths", "target_lengths", "indices", "places"):
            assert getattr(together, name)[place] == getattr(alone, name)[0]
        begin, end = split.source_offsets[row : row + 2]
        assert alone.source[0].tolist() == split.source_ids[begin:end].tolist()


def test_moving_leaves_lengths_and_indices_on_the_cpu(marks):
    moved = batch_of([0, 1], marks).to("meta")
    on_meta = {name for name, value in vars(moved).items() if isinstance(value, torch.Tensor) and value.is_meta}
    assert on_meta == {"source", "target_inputs", "target_labels", "places"}
    assert moved.label_count == 11 and moved.sentence_count == 3


def test_ids_to_copy_stand_beside_the_source_and_move_with_it(marks):
    split = replace(SPLIT, copy_ids=np.array([20, 5, 2, 20, 2, 6, 2], dtype=np.int32))
    batch = collate(split, np.array([1, 0]), np.arange(2), 11, 2, marks)
    assert batch.copy_ids.tolist() == [[20, 2, 0], [20, 5, 2]]
    assert batch.copy_ids.dtype == torch.int64
    assert batch.to("meta").copy_ids.is_meta
    assert batch_of([1, 0], marks).copy_ids is None
