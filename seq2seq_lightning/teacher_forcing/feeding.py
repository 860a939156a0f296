"""The choices that every schedule shares: the coin, the fed-back token, the mechanism, and what is counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from seq2seq_lightning.errors import ConfigurationError


class Granularity(Enum):
    """What one coin decides: one token, a time step or a sequence of the batch, or the whole batch."""

    token = "token"
    step = "step"
    sequence = "sequence"
    batch = "batch"


class FedBackToken(Enum):
    """Which of the model's predictions is fed back: the most probable one, or one drawn from its distribution."""

    argmax = "argmax"
    sample = "sample"


class Mechanism(Enum):
    """How predictions come to be fed back: position by position (the definition)."""

    stepwise = "stepwise"


class Unit(Enum):
    """What a schedule counts: optimiser updates, epochs, or the share of the training done (0 to 1)."""

    update = "update"
    epoch = "epoch"
    training = "training"


@dataclass(frozen=True)
class SchedulePosition:
    """How far training has come before an update: updates done, epochs done (0 in the first), share of all updates."""

    update: int
    epoch: int
    share: float

    def in_unit(self, unit: Unit) -> float:
        """The position in the unit that a schedule counts."""
        return {Unit.update: float(self.update), Unit.epoch: float(self.epoch), Unit.training: self.share}[unit]


@dataclass
class TeacherForcingConfig:
    """What every schedule shares: the coin, the fed-back token, and what the schedule counts."""

    name: str = "constant"
    granularity: Granularity = Granularity.token  # one coin per token | step | sequence | batch
    fed_back: FedBackToken = FedBackToken.argmax  # the model's most probable token, or a sample
    temperature: float = 1.0  # divides the logits before sampling
    mechanism: Mechanism = Mechanism.stepwise
    unit: Unit = Unit.update  # the schedule counts updates | epochs | the share of the training

    def __post_init__(self) -> None:
        """Refuse a temperature that is not positive, or that nothing would use."""
        if not 0 < self.temperature < math.inf:
            raise ConfigurationError(
                f"teacher_forcing.temperature is {self.temperature}; it must be a positive number (1.0: no change)."
            )
        if self.temperature != 1 and self.fed_back is FedBackToken.argmax:
            raise ConfigurationError(
                f"teacher_forcing.temperature={self.temperature} changes nothing, because "
                "teacher_forcing.fed_back=argmax takes the most probable token. "
                "Set teacher_forcing.fed_back=sample, or leave the temperature at 1.0."
            )
