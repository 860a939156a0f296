"""Schedules against formulas worked by hand, and laws that hold for every listed one."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.structure import from_plain, to_plain
from seq2seq_lightning.teacher_forcing import SCHEDULES, SchedulePosition, TeacherForcingConfig, ratio
from seq2seq_lightning.teacher_forcing.adaptive import AdaptiveConfig
from seq2seq_lightning.teacher_forcing.confidence import ConfidenceConfig
from seq2seq_lightning.teacher_forcing.feeding import FedBackToken, Granularity, Mechanism, Unit
from seq2seq_lightning.teacher_forcing.schedules import (
    ConstantConfig,
    ExponentialConfig,
    InverseSigmoidConfig,
    LinearConfig,
    Phase,
    PiecewiseConfig,
)

BY_END_POINTS = [LinearConfig, ExponentialConfig, InverseSigmoidConfig]
EPOCH, UPDATE, TRAINING = Unit.epoch, Unit.update, Unit.training


def at(config: TeacherForcingConfig, i: float) -> float:
    """The ratio where the schedule's own unit stands at i, and the two other units elsewhere."""
    values = {UPDATE: 7, EPOCH: 3, TRAINING: 0.9}
    values[config.unit] = i
    return ratio(config, SchedulePosition(values[UPDATE], values[EPOCH], values[TRAINING]))


def test_constant_is_the_same_everywhere():
    assert [at(ConstantConfig(ratio=0.3), i) for i in (0, 1, 10**9)] == [0.3, 0.3, 0.3]


@pytest.mark.parametrize("i, expected", [(0, 0.9), (10, 0.8), (64, 0.26), (65, 0.25), (66, 0.25), (10**12, 0.25)])
def test_linear_by_constants(i, expected):
    # max(0.25, 0.9 - 0.01·i): 0.9 - 0.65 = 0.25 is reached at i = 65
    assert at(LinearConfig(unit=UPDATE, k=0.9, c=0.01, floor=0.25), i) == pytest.approx(expected, abs=1e-12)


def test_linear_never_turns_negative_and_never_exceeds_one():
    config = LinearConfig(unit=EPOCH, k=1.5, c=0.25)
    # 1.5, 1.25, 1, 0.75, … 0 at epoch 6, then never below the floor of 0
    assert [at(config, i) for i in (0, 1, 2, 3, 6, 7, 100)] == [1.0, 1.0, 1.0, 0.75, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("i, expected", [(0, 1.0), (50, 0.7), (75, 0.55), (100, 0.4), (101, 0.4)])
def test_linear_by_end_points(i, expected):
    # 1.0 - 0.6·i/100
    assert at(LinearConfig(unit=UPDATE, start=1.0, end=0.4, over=100), i) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("i, expected", [(0, 1.0), (1, 0.5), (3, 0.125), (10, 1 / 1024), (10**9, 0.0)])
def test_exponential_by_constant(i, expected):
    assert at(ExponentialConfig(unit=UPDATE, k=0.5), i) == expected


def test_exponential_by_end_points():
    # 0.8·(0.2/0.8)^(i/4): half way the factor is sqrt(1/4) = 1/2
    config = ExponentialConfig(unit=EPOCH, start=0.8, end=0.2, over=4)
    assert [at(config, i) for i in (0, 2, 4, 5)] == pytest.approx([0.8, 0.4, 0.2, 0.2], abs=1e-12)


def test_inverse_sigmoid_by_constant():
    config = InverseSigmoidConfig(unit=UPDATE, k=10.0)
    assert at(config, 0) == pytest.approx(10 / 11)  # k/(k+1), not 1
    assert at(config, 10) == pytest.approx(10 / (10 + math.e))  # exp(10/10) = e
    assert at(config, 10 * math.log(10)) == pytest.approx(0.5)  # exp(ln 10) = 10
    assert at(config, 50) == pytest.approx(10 / (10 + math.exp(5)))
    assert at(config, 10**9) == 0.0  # exp(10^8) would overflow


def test_inverse_sigmoid_by_end_points():
    config = InverseSigmoidConfig(unit=UPDATE, start=0.9, end=0.1, over=100)
    assert [at(config, i) for i in (0, 50, 100, 500)] == pytest.approx([0.9, 0.5, 0.1, 0.1], abs=1e-12)
    # p = 1/4: σ(2.5) = 1/(1+e^-2.5), rescaled between σ(-5) and σ(5)
    low, high = 1 / (1 + math.exp(5)), 1 / (1 + math.exp(-5))
    weight = (1 / (1 + math.exp(-2.5)) - low) / (high - low)
    assert at(config, 25) == pytest.approx(0.1 + 0.8 * weight, abs=1e-12)


def test_inverse_sigmoid_by_end_points_is_the_papers_curve_stretched():
    k = math.exp(5)
    paper = InverseSigmoidConfig(unit=UPDATE, k=k)
    ours = InverseSigmoidConfig(unit=UPDATE, start=at(paper, 0), end=at(paper, 2 * k * 5), over=2 * k * 5)
    for i in (0, 300, 700, 1000, 1400):
        assert at(ours, i) == pytest.approx(at(paper, i), abs=1e-12)


def test_piecewise_preset_counts_epochs_from_one():
    config = PiecewiseConfig()

    def epoch(number: float) -> float:
        return at(config, number - 1)

    # slopes: 0.1 over 9 epochs, 0.4 over 20 epochs, then 0.02 per epoch: 25 epochs from 0.5 to 0
    expected = {1: 1.0, 4: 1.0 - 0.1 * 3 / 9, 10: 0.9, 20: 0.7, 30: 0.5, 40: 0.3, 55: 0.0, 99: 0.0}
    assert {number: epoch(number) for number in expected} == pytest.approx(expected, abs=1e-12)


def test_piecewise_is_constant_outside_its_points():
    config = PiecewiseConfig(unit=TRAINING, phases=[Phase(0.25, 0.8), Phase(0.75, 0.2)])
    assert [at(config, i) for i in (0.0, 0.25, 0.5, 0.75, 1.0)] == pytest.approx([0.8, 0.8, 0.5, 0.2, 0.2])
    assert at(PiecewiseConfig(phases=[Phase(3, 0.4)]), 0) == 0.4


@pytest.mark.parametrize("config_class", SCHEDULES)
def test_defaults_start_at_teacher_forcing_and_never_rise(config_class):
    config = config_class()
    values = [at(config, i / 100 * (1 if config.unit is TRAINING else 60)) for i in range(101)]
    assert values[0] == 1.0
    assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("config_class", BY_END_POINTS)
def test_default_reaches_one_half_at_the_end_of_training(config_class):
    config = config_class()
    assert ratio(config, SchedulePosition(update=0, epoch=0, share=0.0)) == 1.0
    assert ratio(config, SchedulePosition(update=50, epoch=2, share=1.0)) == pytest.approx(0.5, abs=1e-12)


probabilities = st.floats(0, 1)
positions = st.one_of(st.floats(0, 1), st.floats(0, sys.float_info.max), st.integers(0, 10**15).map(float))


@st.composite
def configs(draw):
    kind = draw(st.sampled_from(["linear", "exponential", "inverse_sigmoid", "constant", "piecewise", *BY_END_POINTS]))
    if kind == "constant":
        return ConstantConfig(ratio=draw(probabilities))
    if kind == "linear":
        k, c = draw(st.floats(0, 1e9)), draw(st.floats(0, 1e9))
        return LinearConfig(unit=UPDATE, k=k, c=c, floor=draw(probabilities))
    if kind == "exponential":
        return ExponentialConfig(unit=UPDATE, k=draw(st.floats(0, 1, exclude_min=True, exclude_max=True)))
    if kind == "inverse_sigmoid":
        return InverseSigmoidConfig(unit=UPDATE, k=draw(st.floats(1, 1e300)))
    if kind == "piecewise":
        points = sorted(draw(st.lists(st.floats(0, 1e300), min_size=1, max_size=5, unique=True)))
        return PiecewiseConfig(unit=UPDATE, phases=[Phase(point, draw(probabilities)) for point in points])
    ends = st.floats(0, 1, exclude_min=True)
    over = draw(st.floats(1e-300, 1e300))
    return kind(unit=UPDATE, start=draw(ends), end=draw(ends), over=over)


@settings(max_examples=300, deadline=None)
@given(configs(), positions)
def test_every_ratio_lies_between_zero_and_one(config, i):
    assert 0 <= ratio(config, SchedulePosition(update=i, epoch=0, share=0.0)) <= 1


@settings(max_examples=200, deadline=None)
@given(configs(), positions, positions)
def test_ratios_move_one_way_only(config, first, second):
    if isinstance(config, PiecewiseConfig):
        return
    i, j = sorted([first, second])
    before, after = at(config, i), at(config, j)
    rises = getattr(config, "end", None) is not None and config.end > config.start
    slack = 1e-12
    assert before <= after + slack if rises else after <= before + slack


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(BY_END_POINTS),
    st.floats(0, 1, exclude_min=True),
    st.floats(0, 1, exclude_min=True),
    st.floats(1e-3, 1e9),
    st.floats(1, 1e3),
)
def test_end_points_are_met_and_kept(config_class, start, end, over, times):
    config = config_class(unit=UPDATE, start=start, end=end, over=over)
    assert at(config, 0) == pytest.approx(start, abs=1e-12)
    assert at(config, over) == pytest.approx(end, abs=1e-12)
    assert at(config, over * times) == pytest.approx(end, abs=1e-12)


@pytest.mark.parametrize(
    "config",
    [config_class() for config_class in SCHEDULES] + [LinearConfig(unit=UPDATE, c=0.1), ExponentialConfig(end=0.01)],
    ids=lambda config: config.name,
)
def test_a_config_survives_the_way_through_plain_values(config):
    assert from_plain(TeacherForcingConfig, to_plain(config), {TeacherForcingConfig: SCHEDULES}) == config


REFUSED = [
    (lambda: ConstantConfig(ratio=1.5), ["teacher_forcing.ratio is 1.5", "from 0 to 1"]),
    (lambda: ConstantConfig(ratio=math.nan), ["teacher_forcing.ratio is nan"]),
    (lambda: ConstantConfig(temperature=0.0), ["teacher_forcing.temperature is 0.0", "positive"]),
    (lambda: ConstantConfig(temperature=2.0), ["teacher_forcing.temperature=2.0", "fed_back=sample", "leave"]),
    (
        lambda: LinearConfig(unit=UPDATE, c=0.1, end=0.2),
        ["by constants (k, c, floor)", "by end points (end)", "teacher_forcing.end=null"],
    ),
    (lambda: LinearConfig(c=0.1), ["counts updates or epochs", "teacher_forcing.unit=update"]),
    (lambda: LinearConfig(unit=UPDATE, k=0.5), ["no slope", "teacher_forcing.c"]),
    (lambda: LinearConfig(unit=UPDATE, c=-1.0), ["teacher_forcing.c is -1.0"]),
    (lambda: LinearConfig(unit=UPDATE, c=0.1, floor=2.0), ["teacher_forcing.floor is 2.0", "from 0 to 1"]),
    (lambda: LinearConfig(unit=UPDATE, c=0.1, k=-0.5), ["teacher_forcing.k is -0.5"]),
    (lambda: LinearConfig(unit=EPOCH), ["teacher_forcing.over is null", "number of epochs", "unit=training"]),
    (lambda: LinearConfig(over=50.0), ["teacher_forcing.over is 50.0", "share of the training"]),
    (lambda: LinearConfig(unit=UPDATE, over=0.0), ["teacher_forcing.over is 0.0", "updates above 0"]),
    (lambda: LinearConfig(start=-0.1), ["teacher_forcing.start is -0.1"]),
    (lambda: ExponentialConfig(unit=UPDATE, k=1.0), ["teacher_forcing.k is 1.0", "between 0 and 1"]),
    (lambda: ExponentialConfig(end=0.0), ["teacher_forcing.end is 0", "teacher_forcing=linear"]),
    (lambda: InverseSigmoidConfig(unit=UPDATE, k=0.5), ["teacher_forcing.k is 0.5", "at least 1"]),
    (lambda: PiecewiseConfig(phases=[]), ["teacher_forcing.phases is empty"]),
    (lambda: PiecewiseConfig(phases=[Phase(0, 1.2)]), ["teacher_forcing.phases[0].ratio is 1.2"]),
    (
        lambda: PiecewiseConfig(phases=[Phase(5, 1), Phase(5, 0)]),
        ["phases[1].at is 5", "above the point before"],
    ),
    (lambda: PiecewiseConfig(unit=TRAINING), ["phases[1].at is 9.0", "from 0 to 1"]),
    (lambda: AdaptiveConfig(start=1.5), ["teacher_forcing.start is 1.5", "from 0 to 1"]),
    (
        lambda: AdaptiveConfig(start=0.5, floor=0.5),
        ["teacher_forcing.floor is 0.5", "below teacher_forcing.start (0.5)"],
    ),
    (lambda: AdaptiveConfig(step=0.0), ["teacher_forcing.step is 0.0", "above 0 and up to 1"]),
    (lambda: AdaptiveConfig(min_delta=-0.1), ["teacher_forcing.min_delta is -0.1", "at least 0"]),
    (lambda: AdaptiveConfig(unit=EPOCH), ["teacher_forcing.unit=epoch", "moves at validations", "validation.every"]),
    (lambda: ConfidenceConfig(threshold=1.0), ["teacher_forcing.threshold is 1.0", "below 1"]),
    (lambda: ConfidenceConfig(floor=1.0), ["teacher_forcing.floor is 1.0", "below 1"]),
    (lambda: ConfidenceConfig(unit=TRAINING), ["teacher_forcing.unit=training", "follows the model, not time"]),
    (
        lambda: ConfidenceConfig(granularity=Granularity.step),
        ["granularity=step", "a ratio of its own", "teacher_forcing.granularity=token"],
    ),
    (lambda: ConstantConfig(position_decay=0.0), ["teacher_forcing.position_decay is 0.0", "above 0 and up to 1"]),
    (
        lambda: ConstantConfig(position_decay=0.9, granularity=Granularity.sequence),
        ["position_decay=0.9", "granularity=sequence has none", "granularity=token or step"],
    ),
    (lambda: ConstantConfig(tbptt=0), ["teacher_forcing.tbptt is 0", "at least 1 position"]),
    (lambda: ConstantConfig(hard=True), ["hard=true", "fed_back=argmax", "fed_back=gumbel"]),
    (
        lambda: ConstantConfig(fed_back=FedBackToken.gumbel, mechanism=Mechanism.parallel),
        ["mechanism=parallel", "fed_back=gumbel", "mechanism=stepwise (or auto)"],
    ),
    (
        lambda: ConstantConfig(extra_passes=1),
        ["extra_passes=1", "the mechanism is stepwise", "mechanism=parallel", "extra_passes=null"],
    ),
    (lambda: ConstantConfig(extra_passes=2, mechanism=Mechanism.auto), ["extra_passes=2", "the mechanism is auto"]),
    (
        lambda: ConstantConfig(extra_passes=0, mechanism=Mechanism.parallel),
        ["teacher_forcing.extra_passes is 0", "at least 1, or null"],
    ),
]


@pytest.mark.parametrize("build, parts", REFUSED)
def test_what_is_refused_and_how(build, parts):
    with pytest.raises(ConfigurationError) as caught:
        build()
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("fed_back", [FedBackToken.sample, FedBackToken.gumbel])
def test_a_temperature_belongs_to_samples_and_mixtures(fed_back):
    assert ConstantConfig(fed_back=fed_back, temperature=0.5).temperature == 0.5


@pytest.mark.parametrize("k", [1.0, 1.0 + 1e-12, 5e-324, 1e-300, 0.5, 1 - 1e-16])
@pytest.mark.parametrize("i", [0, 1, 10**9, 10**15])
def test_extremes_overflow_nowhere(k, i):
    """The smallest and largest constants that are allowed, at the ends of any training."""
    if k >= 1:
        value = at(InverseSigmoidConfig(unit=UPDATE, k=k), i)
        assert value == (pytest.approx(0.5) if i == 0 else pytest.approx(1 / (1 + math.e)) if i == 1 else 0.0)
    else:
        assert at(ExponentialConfig(unit=UPDATE, k=k), i) == (
            1.0 if i == 0 else pytest.approx(math.exp(i * math.log(k)))
        )
    assert at(LinearConfig(unit=UPDATE, c=5e-324), i) == 1.0
