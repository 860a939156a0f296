from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from omegaconf import OmegaConf

from seq2seq_lightning.data.bucketing import (
    BatchingConfig,
    BatchUnit,
    Sampling,
    padding_share,
    plan_epoch,
    plan_evaluation,
)
from seq2seq_lightning.data.epochs import Epochs
from seq2seq_lightning.data.example import EncodedSplit
from seq2seq_lightning.data.plan import Plan
from seq2seq_lightning.errors import ConfigurationError, DataError

RANDOM = np.random.default_rng(0)
SOURCE, LABELS = RANDOM.integers(1, 20, size=(2, 501))
SPLIT = EncodedSplit(
    *(array for ends in (SOURCE.cumsum(), (LABELS - 1).cumsum()) for array in (np.zeros(ends[-1]), np.append(0, ends)))
)
CONFIGS = [
    BatchingConfig(size=size, unit=unit, pool=pool, same_source_length=same)
    for (size, unit), pool, same in product(
        [(1, BatchUnit.sentences), (64, BatchUnit.sentences), (400, BatchUnit.tokens)], [0, 100, -1], [False, True]
    )
    if not (same and pool == 0)
]


def plan_of(config: BatchingConfig, seed: int = 1, epoch: int = 0) -> list[np.ndarray]:
    return plan_epoch(SOURCE, LABELS, config, seed, epoch)


def rows_of(plan: list[np.ndarray]) -> list[int]:
    return np.concatenate(plan).tolist()


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_an_epoch_visits_each_row_once_in_batches_within_the_size(config: BatchingConfig):
    plan = plan_of(config)
    assert sorted(rows_of(plan)) == list(range(len(SOURCE)))
    for rows in plan:
        positions = len(rows) * (SOURCE[rows].max() + LABELS[rows].max())
        assert 0 < (len(rows) if config.unit is BatchUnit.sentences else positions) <= config.size
        if config.same_source_length:
            assert len(set(SOURCE[rows])) == 1


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_plan_depends_on_seed_and_epoch_alone(config: BatchingConfig):
    plan = rows_of(plan_of(config))
    assert plan == rows_of(plan_of(config))
    assert plan != rows_of(plan_of(config, epoch=1))
    assert plan != rows_of(plan_of(config, seed=2))


def test_batches_are_as_full_as_their_size_allows():
    plan = plan_of(BatchingConfig(size=64))
    assert sorted(map(len, plan)) == [53, *[64] * 7]  # 501 = 7 × 64 + 53


def test_batches_of_sorted_pools_come_in_random_order():
    lengths = [SOURCE[rows].max() for rows in plan_of(BatchingConfig(size=10, pool=-1))]
    assert lengths != sorted(lengths)


def test_sorting_pools_saves_padding_and_the_share_counts_both_sides():
    shares = [padding_share(plan_of(BatchingConfig(size=20, pool=pool)), SOURCE, LABELS) for pool in (0, 100, -1)]
    assert shares == sorted(shares, reverse=True)
    # widths 3 and 4, two rows: 14 positions, of which (3 + 1) + (2 + 4) = 10 are real
    assert padding_share(Plan.of([np.array([0, 1])]), np.array([3, 1]), np.array([2, 4])) == pytest.approx(4 / 14)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_a_curriculum_begins_with_short_rows_and_ends_in_the_usual_order(config: BatchingConfig):
    learner = replace(config, curriculum_epochs=2)
    for epoch in (0, 1):
        rows = rows_of(plan_of(learner, epoch=epoch))
        assert sorted(rows) == list(range(len(SOURCE)))
        lengths = list(zip(SOURCE[rows], LABELS[rows], strict=True))
        assert lengths == sorted(lengths)
        assert rows == rows_of(plan_of(learner, epoch=epoch))
        assert rows != rows_of(plan_of(learner, epoch=epoch, seed=2))  # chance decides among equal lengths
    assert rows_of(plan_of(learner)) != rows_of(plan_of(learner, epoch=1))
    assert rows_of(plan_of(learner, epoch=2)) == rows_of(plan_of(config, epoch=2))


def test_replacement_draws_as_many_rows_as_there_are_with_repetition():
    config = BatchingConfig(size=16, sampling=Sampling.replacement)
    draws = np.concatenate([np.concatenate(plan_of(config, epoch=epoch)) for epoch in range(20)])
    assert len(draws) == 20 * 501
    assert 300 < len(set(draws[:501])) < 335  # 501 (1 - 1/e) = 317 distinct rows expected, standard deviation 7
    counts = np.bincount(draws, minlength=501)  # Poisson with mean 20
    assert len(counts) == 501 and counts.min() > 3 and counts.max() < 45


def test_a_row_beyond_the_token_budget_is_named_with_the_key():
    with pytest.raises(DataError, match=r"Training pair 2 has 12 positions.*`data.batching.size=10`.*size=12` or more"):
        plan_epoch(np.array([3, 6]), np.array([3, 6]), BatchingConfig(size=10, unit=BatchUnit.tokens), 1, 0)


@pytest.mark.parametrize(("rows", "size", "world_size"), list(product([3, 8, 100, 101], [1, 2, 7, 200], [1, 2, 3])))
def test_evaluation_takes_each_row_once_by_length(rows: int, size: int, world_size: int):
    plan = plan_evaluation(SOURCE[:rows], LABELS[:rows], size, world_size)
    assert sorted(rows_of(plan)) == list(range(rows))
    lengths = SOURCE[rows_of(plan)]
    assert (np.diff(lengths) <= 0).all()
    assert all(len(batch) >= world_size for batch in plan)
    if size > 1:
        assert all(len(batch) <= size * world_size for batch in plan)


@pytest.mark.parametrize("longest", [3, 5, 100])
def test_long_rows_come_in_batches_of_bounded_positions(longest: int):
    plan = plan_evaluation(SOURCE, LABELS, 8, longest=longest)
    assert sorted(rows_of(plan)) == list(range(len(SOURCE)))
    assert (np.diff(SOURCE[rows_of(plan)]) <= 0).all()
    both = np.maximum(SOURCE, LABELS)
    assert all(len(batch) == 1 or len(batch) * both[batch].max() <= 8 * longest for batch in plan)
    if longest >= both.max():
        assert [*map(list, plan)] == [*map(list, plan_evaluation(SOURCE, LABELS, 8))]
    else:
        assert len(plan) > len(plan_evaluation(SOURCE, LABELS, 8))


def test_one_row_of_five_thousand_is_alone():
    lengths = np.array([4, 5000, 7, 300, 3])
    plan = plan_evaluation(lengths, np.ones(5, dtype=np.int64), 128, longest=16)
    assert [*map(list, plan)] == [[1], [3, 2, 0, 4]]


def test_a_split_smaller_than_the_devices_is_refused():
    with pytest.raises(DataError, match=r"2 examples cannot be spread over 3 devices.*trainer.devices=2"):
        plan_evaluation(SOURCE[:2], LABELS[:2], 4, world_size=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, r"`data.batching.size` is 0; set it to 1 or more"),
        ({"pool": -2}, r"`data.batching.pool` is -2; set it to -1 or more"),
        ({"workers": -1}, r"`data.batching.workers` is -1"),
        ({"curriculum_epochs": -1}, r"`data.batching.curriculum_epochs` is -1; set it to 0 or more"),
        ({"evaluation_size": 0}, r"`data.batching.evaluation_size` is 0"),
        ({"same_source_length": True}, r"`data.batching.pool=0` sorts nothing.*Set `data.batching.pool=-1`"),
    ],
)
def test_impossible_batches_are_refused(options: dict, message: str):
    with pytest.raises(ConfigurationError, match=message):
        BatchingConfig(**options)


def test_the_config_is_a_structured_config():
    config = OmegaConf.structured(BatchingConfig)
    config.merge_with_dotlist(["unit=tokens", "size=4096", "sampling=replacement"])
    expected = BatchingConfig(size=4096, unit=BatchUnit.tokens, sampling=Sampling.replacement)
    assert OmegaConf.to_object(config) == expected


@pytest.mark.parametrize("sampling", list(Sampling))
@pytest.mark.parametrize("curriculum", [0, 2])
@pytest.mark.parametrize("config", CONFIGS, ids=str)
def test_batches_are_counted_as_they_are_planned(config: BatchingConfig, curriculum: int, sampling: Sampling):
    config = replace(config, curriculum_epochs=curriculum, sampling=sampling)
    epochs = Epochs(SPLIT, config, 1, target_eos=True)
    assert [epochs.batches(epoch) for epoch in range(4)] == [len(plan_of(config, epoch=epoch)) for epoch in range(4)]
    share = padding_share(plan_of(config, epoch=3), SOURCE, LABELS)
    assert epochs.padding_share(3) == pytest.approx(share)
