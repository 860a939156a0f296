"""What the decoder hears while it learns: a schedule gives a ratio, the ratio a mask of gold and own tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seq2seq_lightning.plugins import Table
from seq2seq_lightning.teacher_forcing import schedules
from seq2seq_lightning.teacher_forcing.adaptive import Adaptive, AdaptiveConfig
from seq2seq_lightning.teacher_forcing.confidence import Confidence, ConfidenceConfig
from seq2seq_lightning.teacher_forcing.fed_back import ArgMax, FedBack, Gumbel, Sample, build_fed_back
from seq2seq_lightning.teacher_forcing.feeding import SchedulePosition, TeacherForcingConfig
from seq2seq_lightning.teacher_forcing.gold_mask import draw_gold_mask
from seq2seq_lightning.teacher_forcing.rules import feeding_problems
from seq2seq_lightning.teacher_forcing.schedule import ClosedForm, Schedule

# a formula (config, i in the config's unit) → ratio, or a Schedule that its config makes
SCHEDULES: Table[type[TeacherForcingConfig], Callable[[Any, float], float] | Callable[[Any], Schedule]] = Table(
    "schedules",
    TeacherForcingConfig,
    {
        schedules.ConstantConfig: schedules.constant,
        schedules.LinearConfig: schedules.linear,
        schedules.ExponentialConfig: schedules.exponential,
        schedules.InverseSigmoidConfig: schedules.inverse_sigmoid,
        schedules.PiecewiseConfig: schedules.piecewise,
        AdaptiveConfig: Adaptive,
        ConfidenceConfig: Confidence,
    },
)


def build_schedule(config: TeacherForcingConfig) -> Schedule:
    """The schedule that a config describes."""
    listed: Any = SCHEDULES[type(config)]
    if isinstance(listed, type) and issubclass(listed, Schedule):
        return listed(config)  # type: ignore[call-arg]
    return ClosedForm(config, listed)


def ratio(config: TeacherForcingConfig, position: SchedulePosition) -> float:
    """The probability of feeding gold in the update that follows ``position``, before anything was validated."""
    return build_schedule(config).ratio(position)


__all__ = [
    "SCHEDULES",
    "ArgMax",
    "FedBack",
    "Gumbel",
    "Sample",
    "Schedule",
    "SchedulePosition",
    "TeacherForcingConfig",
    "build_fed_back",
    "build_schedule",
    "draw_gold_mask",
    "feeding_problems",
    "ratio",
]
