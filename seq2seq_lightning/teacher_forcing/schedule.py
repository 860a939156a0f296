"""What gives the ratio: a closed form of the position, or a schedule with a state of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from seq2seq_lightning.teacher_forcing.feeding import SchedulePosition, TeacherForcingConfig


class Schedule:
    """A schedule as training uses it. What it remembers travels in the checkpoint and is equal on all ranks."""

    is_per_token: ClassVar[bool] = False  # whether `per_token` gives the ratios, from a pass over gold tokens

    def ratio(self, position: SchedulePosition) -> float:
        """The probability of feeding gold in the update that follows ``position``, in [0, 1]."""
        raise NotImplementedError

    def per_token(self, confidences: Tensor) -> Tensor:
        """The ratio at every position (batch, target_time), from the model's p(label) there, given gold tokens."""
        raise NotImplementedError

    def observe(self, scores: Mapping[str, float]) -> None:
        """Take notice of a validation; the scores are those of all ranks together."""

    def state_dict(self) -> dict[str, Any]:
        """Plain values; empty where there is nothing to remember."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what was remembered."""


@dataclass(frozen=True)
class ClosedForm(Schedule):
    """A formula of how far training has come; it remembers nothing."""

    config: TeacherForcingConfig
    formula: Callable[[Any, float], float]

    def ratio(self, position: SchedulePosition) -> float:
        """See ``Schedule.ratio``."""
        return min(max(self.formula(self.config, position.in_unit(self.config.unit)), 0.0), 1.0)
