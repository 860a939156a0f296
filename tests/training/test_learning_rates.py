"""Learning rates against the formulas, and through torch's schedulers."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import Parameter

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.training.learning_rates import (
    LEARNING_RATES,
    ConstantRateConfig,
    InverseSqrtRateConfig,
    LinearRateConfig,
    PlateauRateConfig,
    build_learning_rate,
    factor,
)


def factors(config, updates, total=10):
    return [factor(config, update, total) for update in updates]


def optimizer(learning_rate=2.0):
    return torch.optim.SGD([Parameter(torch.zeros(1))], lr=learning_rate)


def rates_used(config, updates, total):
    sgd = optimizer()
    scheduler = build_learning_rate(config, sgd, total).scheduler
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


def test_inverse_sqrt():
    config = InverseSqrtRateConfig(warmup=4)
    assert factors(config, [0, 1, 3, 15, 99]) == pytest.approx([0.25, 0.5, 1, 0.5, 0.2])


@pytest.mark.parametrize("config_class", [cls for cls, function in LEARNING_RATES.items() if function])
def test_the_first_update_learns_and_no_rate_exceeds_the_base(config_class):
    values = factors(config_class(), range(1000), total=1000)
    assert values[0] > 0 and max(values) <= 1 and min(values) >= 0


def test_the_optimiser_gets_base_times_factor():
    assert rates_used(LinearRateConfig(), 4, total=4) == pytest.approx([2, 1.5, 1, 0.5])
    assert rates_used(InverseSqrtRateConfig(warmup=2), 3, total=None) == pytest.approx([1, 2, 2 * math.sqrt(2 / 3)])


def test_a_resumed_schedule_goes_on():
    whole = rates_used(LinearRateConfig(), 6, total=8)
    sgd = optimizer()
    half = build_learning_rate(LinearRateConfig(), sgd, 8).scheduler
    for _ in range(3):
        sgd.step()
        half.step()
    resumed = optimizer()
    resumed.load_state_dict(sgd.state_dict())
    scheduler = build_learning_rate(LinearRateConfig(), resumed, 8).scheduler
    scheduler.load_state_dict(half.state_dict())
    resumed.load_state_dict(sgd.state_dict())  # building a scheduler sets the rate; the optimiser's state holds it
    resumed.step()
    scheduler.step()
    assert resumed.param_groups[0]["lr"] == whole[4]


@pytest.mark.parametrize("mode, scores", [("min", [3.0, 2.0, 2.5, 2.5, 2.5]), ("max", [3.0, 4.0, 3.5, 3.5, 3.5])])
def test_plateau_waits_its_patience_then_lowers(mode, scores):
    sgd = optimizer()
    config = PlateauRateConfig(factor=0.1, patience=2, min_learning_rate=0.05)
    rate = build_learning_rate(config, sgd, None, mode)
    assert rate.follows_validation
    rates = []
    for score in scores + scores[-1:] * 3:
        rate.scheduler.step(score)
        rates.append(sgd.param_groups[0]["lr"])
    # the third validation without improvement is one too many; then 0.02 would be below the least rate
    assert rates == pytest.approx([2, 2, 2, 2, 0.2, 0.2, 0.2, 0.05])


def test_plateau_multiplies_by_one_as_a_function_of_updates():
    assert factor(PlateauRateConfig(), 5, None) == 1.0


def test_linear_without_an_end_is_refused_when_built():
    with pytest.raises(ConfigurationError) as caught:
        build_learning_rate(LinearRateConfig(warmup=10), optimizer(), None)
    assert "trainer.max_steps" in str(caught.value) and "learning_rate=constant" in str(caught.value)


REFUSED = [
    (lambda: ConstantRateConfig(warmup=-1), ["learning_rate.warmup is -1"]),
    (lambda: LinearRateConfig(warmup=-1), ["learning_rate.warmup is -1"]),
    (lambda: LinearRateConfig(end=1.5), ["learning_rate.end is 1.5", "from 0 to 1"]),
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
