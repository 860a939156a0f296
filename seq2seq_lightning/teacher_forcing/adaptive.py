"""A ratio that falls by a step when a validation gives the signal, and else stays where it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.teacher_forcing.feeding import SchedulePosition, TeacherForcingConfig, Unit
from seq2seq_lightning.teacher_forcing.ranges import require, require_probability
from seq2seq_lightning.teacher_forcing.schedule import Schedule


class Signal(Enum):
    """What a validation must show for the ratio to fall."""

    loss = "loss"  # the teacher-forced loss is better than ever: what is fed may become harder
    gap = "gap"  # free-running minus teacher-forced loss is larger than at the validation before: it must


@dataclass
class AdaptiveConfig(TeacherForcingConfig):
    """Lower the ratio by `step` after each validation that gives the signal; the first one is only compared with."""

    name: str = "adaptive"
    signal: Signal = Signal.loss  # loss: while the teacher-forced loss improves; gap: while the free-running gap grows
    start: float = 1.0  # ratio up to the first signal
    step: float = 0.05  # how much it falls at each signal
    floor: float = 0.0  # smallest ratio
    min_delta: float = 0.0  # by how much the loss must improve, or the gap grow, to count

    def __post_init__(self) -> None:
        """Refuse ratios out of range or out of order, steps that never move, and a unit, which nothing counts in."""
        super().__post_init__()
        require_probability("start", self.start)
        require_probability("floor", self.floor)
        require(self.floor < self.start, "floor", self.floor, f"below teacher_forcing.start ({self.start})")
        require(0 < self.step <= 1, "step", self.step, "above 0 and up to 1, the decrease at each signal")
        require(0 <= self.min_delta < math.inf, "min_delta", self.min_delta, "at least 0")
        if self.unit is not Unit.update:
            raise ConfigurationError(
                f"teacher_forcing.unit={self.unit.name} changes nothing, because teacher_forcing=adaptive moves at "
                "validations. Leave out teacher_forcing.unit, and set validation.every instead."
            )


class Adaptive(Schedule):
    """ratio ← max(floor, ratio - step) at every signal."""

    def __init__(self, config: AdaptiveConfig) -> None:
        self.config = config
        self.current = config.start
        self.reference: float | None = None  # the best loss so far, or the gap of the validation before

    def ratio(self, position: SchedulePosition) -> float:
        """See ``Schedule.ratio``."""
        return self.current

    def observe(self, scores: Mapping[str, float]) -> None:
        """See ``Schedule.observe``. A value that is no number gives no signal and is not compared with."""
        of_loss = self.config.signal is Signal.loss
        value = scores["val/loss"] - (scores["val/free_running_loss"] if not of_loss else 0.0)
        # either signal is a fall: of the loss, or of the gap's opposite
        if math.isnan(value):
            return
        falls = self.reference is not None and self.reference - value > self.config.min_delta
        if falls:
            self.current = max(self.config.floor, self.current - self.config.step)
        if falls or self.reference is None or not of_loss:
            self.reference = value

    def state_dict(self) -> dict[str, Any]:
        """See ``Schedule.state_dict``."""
        return {"ratio": self.current, "reference": self.reference}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See ``Schedule.load_state_dict``."""
        self.current, self.reference = state["ratio"], state["reference"]
