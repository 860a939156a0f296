"""Learning rates against the formulas, and through torch's schedulers."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import Parameter

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.teacher_forcing.feeding import Unit
from seq2seq_lightning.training.learning_rates import (
    LEARNING_RATES,
    ConstantRateConfig,
    CosineRateConfig,
    HalveAfterRateConfig,
    InverseSqrtRateConfig,
    LinearRateConfig,
    PlateauRateConfig,
    TrainingLength,
    build_learning_rate,
    factor,
    length_problems,
)
from tests.training.tiny import tiny_config


def factors(config, updates, total=10, per_epoch=4):
    return [factor(config, update, TrainingLength(total, per_epoch)) for update in updates]


def optimizer(learning_rate=2.0):
    return torch.optim.SGD([Parameter(torch.zeros(1))], lr=learning_rate)


def rates_used(config, updates, total):
    sgd = optimizer()
    scheduler = build_learning_rate(config, sgd, TrainingLength(total)).scheduler
    rates = []
    for _ in range(updates):
        rates.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step()
    return rates


def test_constant():
    assert factors(ConstantRateConfig(), [0, 5, 10**9]) == [1, 1, 1]
    assert factors(ConstantRateConfig(warmup=4), [0, 1, 2, 3, 4]) == [0.25, 0.5, 0.75, 1, 1]


def test_linear():
    assert factors(LinearRateConfig(), [0, 1, 5, 9, 10, 99]) == pytest.approx([1, 0.9, 0.5, 0.1, 0, 0])
    assert factors(LinearRateConfig(end=0.2), [0, 5, 10, 99]) == pytest.approx([1, 0.6, 0.2, 0.2])
    # two updates of warm-up, then eight of decay
    assert factors(LinearRateConfig(warmup=2), [0, 1, 2, 6, 10]) == pytest.approx([0.5, 1, 1, 0.5, 0])


def test_linear_whose_warmup_outlasts_training_only_rises():
    assert factors(LinearRateConfig(warmup=20), [0, 9], total=10) == [0.05, 0.5]
    assert factors(LinearRateConfig(warmup=10), [9, 10, 11], total=10) == [1, 0, 0]


def test_cosine():
    # end + (1 - end)·(1 + cos(π·p))/2: at p = 0, 1/3, 1/2, 2/3, 1 the half cosine is 1, 3/4, 1/2, 1/4, 0
    assert factors(CosineRateConfig(), [0, 4, 6, 8, 12, 99], total=12) == pytest.approx([1, 0.75, 0.5, 0.25, 0, 0])
    assert factors(CosineRateConfig(end=0.2), [0, 6, 12], total=12) == pytest.approx([1, 0.6, 0.2])
    # two updates of warm-up, then twelve of decay
    assert factors(CosineRateConfig(warmup=2), [0, 1, 2, 6, 14], total=14) == pytest.approx([0.5, 1, 1, 0.75, 0])


def test_halve_after():
    counted = HalveAfterRateConfig(unit=Unit.update, after=3.0, every=2.0)
    assert factors(counted, range(8)) == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]
    # epochs of 4 updates, as Sutskever et al.: from epoch 1 on each half epoch, here by a third
    halves = HalveAfterRateConfig(unit=Unit.epoch, after=1.0, every=0.5, factor=1 / 3)
    assert factors(halves, range(3, 9)) == pytest.approx([1, 1 / 3, 1 / 3, 1 / 9, 1 / 9, 1 / 27])
    # the default is Luong et al.'s 10 epochs: half of them, then halved at each tenth, met exactly
    luong = factors(HalveAfterRateConfig(), range(1000), total=1000)
    assert [luong.index(0.5**k) for k in range(6)] == [0, 500, 600, 700, 800, 900] and len(set(luong)) == 6


@pytest.mark.parametrize("total", [10, 70, 130, 990])
def test_a_share_that_has_no_exact_binary_form_is_met_to_the_update(total):
    for tenth in range(1, 10):
        config = HalveAfterRateConfig(after=tenth / 10, every=0.1)
        found = factors(config, [total * k // 10 + place for k in range(tenth, 10) for place in (-1, 0)], total)
        assert found == [0.5**n for lowered in range(10 - tenth) for n in (lowered, lowered + 1)]


def test_inverse_sqrt():
    config = InverseSqrtRateConfig(warmup=4)
    assert factors(config, [0, 1, 3, 15, 99]) == pytest.approx([0.25, 0.5, 1, 0.5, 0.2])


@pytest.mark.parametrize("config_class", [cls for cls, function in LEARNING_RATES.items() if function])
def test_the_first_update_learns_and_no_rate_exceeds_the_base(config_class):
    values = factors(config_class(), range(1000), total=1000, per_epoch=100)
    assert values[0] > 0 and max(values) <= 1 and min(values) >= 0


def test_the_optimiser_gets_base_times_factor():
    assert rates_used(LinearRateConfig(), 4, total=4) == pytest.approx([2, 1.5, 1, 0.5])
    assert rates_used(InverseSqrtRateConfig(warmup=2), 3, total=None) == pytest.approx([1, 2, 2 * math.sqrt(2 / 3)])


def test_a_resumed_schedule_goes_on():
    whole = rates_used(LinearRateConfig(), 6, total=8)
    sgd = optimizer()
    half = build_learning_rate(LinearRateConfig(), sgd, TrainingLength(8)).scheduler
    for _ in range(3):
        sgd.step()
        half.step()
    resumed = optimizer()
    resumed.load_state_dict(sgd.state_dict())
    scheduler = build_learning_rate(LinearRateConfig(), resumed, TrainingLength(8)).scheduler
    scheduler.load_state_dict(half.state_dict())
    resumed.load_state_dict(sgd.state_dict())  # building a scheduler sets the rate; the optimiser's state holds it
    resumed.step()
    scheduler.step()
    assert resumed.param_groups[0]["lr"] == whole[4]


@pytest.mark.parametrize("mode, scores", [("min", [3.0, 2.0, 2.5, 2.5, 2.5]), ("max", [3.0, 4.0, 3.5, 3.5, 3.5])])
def test_plateau_waits_its_patience_then_lowers(mode, scores):
    sgd = optimizer()
    config = PlateauRateConfig(factor=0.1, patience=2, min_learning_rate=0.05)
    rate = build_learning_rate(config, sgd, TrainingLength(), mode)
    assert rate.follows_validation
    rates = []
    for score in scores + scores[-1:] * 3:
        rate.scheduler.step(score)
        rates.append(sgd.param_groups[0]["lr"])
    # the third validation without improvement is one too many; then 0.02 would be below the least rate
    assert rates == pytest.approx([2, 2, 2, 2, 0.2, 0.2, 0.2, 0.05])


def test_a_plateau_needs_validations():
    (problem,) = length_problems(PlateauRateConfig(), 10, None, has_validation=False)
    assert all(word in problem for word in ("learning_rate=plateau", "data.val_size", "learning_rate=cosine"))
    assert length_problems(PlateauRateConfig(), 10, None, has_validation=True) == []
    assert length_problems(CosineRateConfig(), 10, None, has_validation=False) == []


def test_plateau_multiplies_by_one_as_a_function_of_updates():
    assert factor(PlateauRateConfig(), 5, TrainingLength()) == 1.0


COUNTING = [
    LinearRateConfig(warmup=10),
    CosineRateConfig(),
    HalveAfterRateConfig(),
    HalveAfterRateConfig(unit=Unit.epoch, after=1.0, every=1.0),
]


@pytest.mark.parametrize("config", COUNTING, ids=lambda config: config.name)
def test_a_schedule_whose_end_is_not_known_is_refused_when_built(config):
    with pytest.raises(ConfigurationError) as caught:
        build_learning_rate(config, optimizer(), TrainingLength())
    assert f"learning_rate={config.name} needs the number of updates" in str(caught.value)
    assert "trainer.max_steps" in str(caught.value) and "learning_rate=constant" in str(caught.value)


REFUSED = [
    (lambda: ConstantRateConfig(warmup=-1), ["learning_rate.warmup is -1"]),
    (lambda: LinearRateConfig(warmup=-1), ["learning_rate.warmup is -1"]),
    (lambda: LinearRateConfig(end=1.5), ["learning_rate.end is 1.5", "from 0 to 1"]),
    (lambda: CosineRateConfig(warmup=-1), ["learning_rate.warmup is -1"]),
    (lambda: CosineRateConfig(end=-0.5), ["learning_rate.end is -0.5", "from 0 to 1"]),
    (lambda: HalveAfterRateConfig(factor=1.0), ["learning_rate.factor is 1.0", "between 0 and 1"]),
    (lambda: HalveAfterRateConfig(after=1.0), ["learning_rate.after is 1.0", "unit=training", "at least 0"]),
    (lambda: HalveAfterRateConfig(every=0.0), ["learning_rate.every is 0.0", "share of the training", "above 0"]),
    (lambda: HalveAfterRateConfig(unit=Unit.epoch, after=-1.0), ["learning_rate.after is -1.0", "number of epochs"]),
    (lambda: InverseSqrtRateConfig(warmup=0), ["learning_rate.warmup is 0", "at least 1"]),
    (lambda: PlateauRateConfig(factor=1.0), ["learning_rate.factor is 1.0"]),
    (lambda: PlateauRateConfig(patience=-1), ["learning_rate.patience is -1"]),
    (lambda: PlateauRateConfig(min_learning_rate=-1.0), ["learning_rate.min_learning_rate is -1.0"]),
]


@pytest.mark.parametrize("build, parts", REFUSED)
def test_what_is_refused_and_how(build, parts):
    with pytest.raises(ConfigurationError) as caught:
        build()
    for part in parts:
        assert part in str(caught.value)


def test_a_rate_that_would_never_be_lowered_is_refused():
    never = HalveAfterRateConfig(unit=Unit.epoch, after=8.0, every=1.0)
    (problem,) = length_problems(never, 1000, 8)
    assert "learning_rate.after=8 epochs is never passed, because trainer.max_epochs=8" in problem
    assert "Set learning_rate.after below 8, or learning_rate=constant" in problem
    assert length_problems(never, 1000, 9) == length_problems(never, 1000, None) == []
    assert "trainer.max_steps=5" in length_problems(HalveAfterRateConfig(unit=Unit.update, after=5.0), 5, None)[0]
    assert length_problems(HalveAfterRateConfig(), 1, 1) == length_problems(LinearRateConfig(), 1, 1) == []
    with pytest.raises(ConfigurationError, match=r"learning_rate\.after=20 updates is never passed"):
        tiny_config(learning_rate={"name": "halve_after", "unit": "update", "after": 20.0, "every": 5.0})
