from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.data.bucketing import BatchingConfig, BatchUnit, Sampling
from seq2seq_lightning.data.loader import EvaluationLoader, TrainingLoader
from seq2seq_lightning.errors import CheckpointError, DataError

BATCHINGS = [
    BatchingConfig(size=8),
    BatchingConfig(size=8, curriculum_epochs=1),
    BatchingConfig(size=90, unit=BatchUnit.tokens, pool=20),
    BatchingConfig(size=8, pool=20, same_source_length=True, sampling=Sampling.replacement),
]


def equal(one: Batch, other: Batch) -> bool:
    values = [(getattr(one, field.name), getattr(other, field.name)) for field in fields(Batch)]
    return all(torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b for a, b in values)


def same(ones: list[Batch], others: list[Batch]) -> bool:
    return len(ones) == len(others) and all(map(equal, ones, others))


def take(loader: TrainingLoader, count: int) -> list[Batch]:
    """The next batches, over the ends of epochs."""
    taken: list[Batch] = []
    while len(taken) < count:
        for batch in loader:
            taken.append(batch)
            if len(taken) == count:
                break
    return taken


def loader_of(split, marks, batching: BatchingConfig = BATCHINGS[0], **options) -> TrainingLoader:
    return TrainingLoader(split, batching, marks, **{"seed": 3} | options)


def test_an_iteration_is_an_epoch_and_the_next_one_differs(random_split, marks):
    loader = loader_of(random_split(50), marks)
    first, second = [[row for batch in loader for row in batch.indices.tolist()] for _ in range(2)]
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert len(loader) == 7  # ⌈50 / 8⌉


@given(
    rows=st.integers(1, 40),
    size=st.integers(1, 12),
    world_size=st.integers(1, 4),
    accumulate=st.integers(1, 3),
    target_eos=st.booleans(),
    curriculum=st.integers(0, 1),
)
def test_ranks_and_micro_batches_make_up_the_global_batch(
    random_split, marks, rows: int, size: int, world_size: int, accumulate: int, target_eos: bool, curriculum: int
):
    batching = BatchingConfig(size=size, curriculum_epochs=curriculum)
    split, options = random_split(rows), {"batching": batching, "target_eos": target_eos}
    whole = list(loader_of(split, marks, **options))
    ranks = [
        list(loader_of(split, marks, rank=rank, world_size=world_size, accumulate=accumulate, **options))
        for rank in range(world_size)
    ]
    assert {len(rank) for rank in ranks} == {len(whole) * accumulate}
    for update, batch in enumerate(whole):
        parts = [part for rank in ranks for part in rank[update * accumulate : (update + 1) * accumulate]]
        assert all(part.label_count == batch.label_count for part in parts)
        assert all(part.sentence_count == batch.sentence_count == len(batch) for part in parts)
        assert all(part.source_lengths.min() > 0 and part.target_lengths.min() > 0 for part in parts)
        real = [part for part in parts if (part.target_labels != marks.pad).any()]
        places = torch.cat([part.places for part in real])
        assert torch.cat([part.indices for part in real])[places.argsort()].tolist() == batch.indices.tolist()
        assert sorted(places.tolist()) == list(range(len(batch)))
        assert len(set(torch.cat([part.places for part in parts]).tolist())) == sum(map(len, parts))
        assert sum(int((part.target_labels != marks.pad).sum()) for part in parts) == batch.label_count
        assert int(batch.target_lengths.sum()) == batch.label_count


@pytest.mark.parametrize("batching", BATCHINGS, ids=str)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_resumed_loader_continues_with_the_same_batches_wherever_it_stopped(
    random_split, marks, batching: BatchingConfig, accumulate: int
):
    split, options = random_split(50), {"batching": batching, "accumulate": accumulate}
    loader = loader_of(split, marks, **options)
    epochs = len(list(loader)) + len(list(loader))
    expected = take(loader_of(split, marks, **options), epochs + 4)
    for seen in range(0, epochs + 1, accumulate):
        interrupted = loader_of(split, marks, **options)
        take(interrupted, seen)
        resumed = loader_of(split, marks, **options)
        resumed.load_state_dict(interrupted.state_dict())
        assert same(take(resumed, epochs + 4 - seen), expected[seen:])


def test_a_global_batch_in_the_middle_is_repeated_whole(random_split, marks):
    split = random_split(50)
    interrupted = loader_of(split, marks, accumulate=2)
    take(interrupted, 5)
    assert interrupted.state_dict() == {"epoch": 0, "position": 2, "update": 2}
    resumed = loader_of(split, marks, accumulate=2)
    resumed.load_state_dict(interrupted.state_dict())
    assert same(take(resumed, 4), take(loader_of(split, marks, accumulate=2), 8)[4:])


@pytest.mark.parametrize("seen", [3, 7])  # in the middle of an epoch of 7 batches, and at its end
def test_worker_processes_give_the_same_batches_and_resume_alike(random_split, marks, seen: int):
    split, workers = random_split(50), BatchingConfig(size=8, workers=2)
    expected = take(loader_of(split, marks), 14)
    interrupted = loader_of(split, marks, workers)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert same(take(interrupted, seen), expected[:seen])
    resumed = loader_of(split, marks, workers)
    resumed.load_state_dict(interrupted.state_dict())
    assert same(take(resumed, 14 - seen), expected[seen:])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_end_of_an_epoch_is_the_beginning_of_the_next(random_split, marks):
    loader = loader_of(random_split(50), marks)
    take(loader, 7)
    assert loader.state_dict() == {"epoch": 1, "position": 0, "update": 7}


def test_given_the_updates_one_iteration_is_the_whole_training(random_split, marks):
    split = random_split(50)
    expected = take(loader_of(split, marks, accumulate=2), 34)
    loader = loader_of(split, marks, updates=17, accumulate=2)
    assert len(loader) == 34
    assert same(take(loader, 20), expected[:20])
    resumed = loader_of(split, marks, updates=17, accumulate=2)
    resumed.load_state_dict(loader.state_dict())
    assert len(resumed) == 34
    assert same(list(resumed), expected[20:])
    assert list(resumed) == []


def test_a_fresh_iterator_continues_where_the_loader_stands(random_split, marks):
    split = random_split(50)
    loader = loader_of(split, marks)
    iter(loader)  # asked for and never used, as Lightning does
    assert same(take(loader, 2) + take(loader, 3), take(loader_of(split, marks), 5))


def test_a_state_of_other_data_is_refused(random_split, marks):
    with pytest.raises(CheckpointError, match="batch 7 of part 0, which has 7 batches here"):
        loader_of(random_split(50), marks).load_state_dict({"epoch": 0, "position": 7, "update": 7})


def test_a_split_without_examples_is_refused(random_split, marks):
    with pytest.raises(DataError, match="training split has no examples"):
        loader_of(random_split(0), marks)


def test_the_padding_share_is_that_of_the_batches(random_split, marks):
    loader = loader_of(random_split(50), marks)
    share, batches = loader.padding_share, list(loader)
    padded = sum(batch.source.numel() + batch.target_labels.numel() for batch in batches)
    real = sum(int(batch.source_lengths.sum() + batch.target_lengths.sum()) for batch in batches)
    assert share == pytest.approx(1 - real / padded)
    assert 0.1 < share < 0.9


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_evaluation_sees_each_example_once_over_all_ranks(random_split, marks, world_size: int):
    split = random_split(50)
    ranks = [EvaluationLoader(split, 8, marks, rank=rank, world_size=world_size) for rank in range(world_size)]
    assert len({len(rank) for rank in ranks}) == 1
    assert [len(list(rank)) for rank in ranks] == [len(rank) for rank in ranks]
    indices = [index for rank in ranks for batch in rank for index in batch.indices.tolist()]
    assert sorted(indices) == list(range(50))
    assert all(len(batch) <= 8 for rank in ranks for batch in rank)
    first = next(iter(ranks[0]))
    assert first.source_lengths.max() == split.source_lengths.max()
    row = int(first.indices[0])
    begin, end = split.target_offsets[row : row + 2]
    assert first.target_labels[0, : end - begin].tolist() == split.target_ids[begin:end].tolist()


def test_an_empty_split_has_no_batches(random_split, marks):
    with pytest.raises(DataError, match="0 examples cannot be spread over 1 devices"):
        EvaluationLoader(random_split(0), 8, marks)


def test_rows_of_a_batch_of_one_length_stay_so_on_every_rank(random_split, marks):
    batching = BatchingConfig(size=8, pool=-1, same_source_length=True)
    for batch in loader_of(random_split(50), marks, batching, rank=1, world_size=2):
        assert len(np.unique(batch.source_lengths)) == 1
