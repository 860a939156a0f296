"""A ratio per token: the model hears its own token where it is sure of what comes next (Liu et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.teacher_forcing.feeding import Granularity, SchedulePosition, TeacherForcingConfig, Unit
from seq2seq_lightning.teacher_forcing.ranges import require, require_probability
from seq2seq_lightning.teacher_forcing.schedule import Schedule


@dataclass
class ConfidenceConfig(TeacherForcingConfig):
    """Gold where p(label) is up to `threshold`, elsewhere gold with probability `floor`.

    p comes from a gradient-free pass over gold tokens. With the defaults the choices are those of Liu et al. 2021
    (arXiv 2107.10427, section 3.2, their t_golden); their noise beyond a second threshold is left out.
    """

    name: str = "confidence"
    threshold: float = 0.9  # the confidence above which the model hears its own token
    floor: float = 0.0  # ratio there

    def __post_init__(self) -> None:
        """Refuse coins that are not of single tokens, ratios out of range, and a unit, which nothing counts in."""
        super().__post_init__()
        require(0 <= self.threshold < 1, "threshold", self.threshold, "a probability below 1")
        require_probability("floor", self.floor)
        require(self.floor < 1, "floor", self.floor, "below 1: the ratio where the model is sure")
        if self.granularity is not Granularity.token:
            raise ConfigurationError(
                f"teacher_forcing.granularity={self.granularity.name} tosses one coin for several tokens (or none), "
                "but teacher_forcing=confidence gives each token a ratio of its own. "
                "Set teacher_forcing.granularity=token, or choose another schedule."
            )
        if self.unit is not Unit.update:
            raise ConfigurationError(
                f"teacher_forcing.unit={self.unit.name} changes nothing, because teacher_forcing=confidence follows "
                "the model, not time. Leave out teacher_forcing.unit."
            )


class Confidence(Schedule):
    """ratio_t = 1 where p(label_t | gold before it, source) ≤ threshold, else floor."""

    is_per_token = True

    def __init__(self, config: ConfidenceConfig) -> None:
        self.config = config

    def ratio(self, position: SchedulePosition) -> float:
        """The ratio of a token the model is not sure of."""
        return 1.0

    def per_token(self, confidences: Tensor) -> Tensor:
        """See ``Schedule.per_token``: at position t speaks the confidence in the label that is predicted there."""
        sure = confidences > self.config.threshold
        return torch.where(sure, self.config.floor, 1.0).to(torch.float64)
