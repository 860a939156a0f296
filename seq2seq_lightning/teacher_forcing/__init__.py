"""What the decoder hears while it learns: a schedule gives a ratio, the ratio a mask of gold and own tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seq2seq_lightning.plugins import Table
from seq2seq_lightning.teacher_forcing import schedules
from seq2seq_lightning.teacher_forcing.fed_back import ArgMax, FedBack, Gumbel, Sample, build_fed_back
from seq2seq_lightning.teacher_forcing.feeding import SchedulePosition, TeacherForcingConfig
from seq2seq_lightning.teacher_forcing.gold_mask import draw_gold_mask

SCHEDULES: Table[type[TeacherForcingConfig], Callable[[Any, float], float]] = Table(
    "schedules",
    TeacherForcingConfig,
    {
        schedules.ConstantConfig: schedules.constant,
        schedules.LinearConfig: schedules.linear,
        schedules.ExponentialConfig: schedules.exponential,
        schedules.InverseSigmoidConfig: schedules.inverse_sigmoid,
        schedules.PiecewiseConfig: schedules.piecewise,
    },
)


def ratio(config: TeacherForcingConfig, position: SchedulePosition) -> float:
    """The probability of feeding gold in the update that follows ``position``, always in [0, 1]."""
    return min(max(SCHEDULES[type(config)](config, position.in_unit(config.unit)), 0.0), 1.0)


__all__ = [
    "SCHEDULES",
    "ArgMax",
    "FedBack",
    "Gumbel",
    "Sample",
    "SchedulePosition",
    "TeacherForcingConfig",
    "build_fed_back",
    "draw_gold_mask",
    "ratio",
]
