"""The choices that every schedule shares: the coin, the fed-back token, the mechanism, and what is counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from seq2seq_lightning.errors import ConfigurationError


class Granularity(Enum):
    """What one coin decides: one token, a time step or a sequence of the batch, or the whole batch.

    ``mixed`` tosses no coin: the ratio weighs the loss of gold tokens against that of own tokens alone.
    """

    token = "token"
    step = "step"
    sequence = "sequence"
    batch = "batch"
    mixed = "mixed"


class FedBackToken(Enum):
    """What of the model's predictions is fed back: the most probable token, one drawn, or all of them mixed."""

    argmax = "argmax"
    sample = "sample"
    gumbel = "gumbel"


class Mechanism(Enum):
    """How predictions come to be fed back.

    ``stepwise``: one position after the other, the definition; ``parallel``: by passes over all positions at once, each
    fed what the one before predicted; ``auto``: whichever gives the result of the definition sooner.
    """

    stepwise = "stepwise"
    parallel = "parallel"
    auto = "auto"


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
    granularity: Granularity = Granularity.token  # one coin per token | step | sequence | batch; mixed: two losses
    position_decay: float = 1.0  # the ratio at target position t is ratio · position_decay^t; 1.0: the same everywhere
    fed_back: FedBackToken = FedBackToken.argmax  # the most probable token | a sample | gumbel: a mixture of embeddings
    temperature: float = 1.0  # divides the logits of sample and gumbel
    hard: bool = False  # gumbel: feed the largest part of the mixture alone, with the gradient of the mixture
    mechanism: Mechanism = Mechanism.stepwise  # stepwise | parallel | auto (as stepwise, by the faster way)
    extra_passes: int | None = None  # of mechanism=parallel, without gradient; null: until no fed token changes (exact)
    tbptt: int | None = None  # cut gradients of the decoder's state at every so many positions; null: nowhere
    unit: Unit = Unit.update  # the schedule counts updates | epochs | the share of the training

    def __post_init__(self) -> None:
        """Refuse what is out of range, and what nothing would use."""
        self._check_fed_back()
        self._check_mechanism()
        if not 0 < self.position_decay <= 1:
            raise ConfigurationError(
                f"teacher_forcing.position_decay is {self.position_decay}; it must be above 0 and up to 1 "
                "(1.0: the same ratio at every position)."
            )
        if self.position_decay != 1 and self.granularity not in (Granularity.token, Granularity.step):
            raise ConfigurationError(
                f"teacher_forcing.position_decay={self.position_decay} needs coins of single positions, but "
                f"teacher_forcing.granularity={self.granularity.name} has none. "
                "Set teacher_forcing.granularity=token or step, or leave position_decay at 1.0."
            )
        if self.tbptt is not None and self.tbptt < 1:
            raise ConfigurationError(
                f"teacher_forcing.tbptt is {self.tbptt}; it must be at least 1 position, or null for whole targets."
            )

    def _check_fed_back(self) -> None:
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
        if self.hard and self.fed_back is not FedBackToken.gumbel:
            raise ConfigurationError(
                f"teacher_forcing.hard=true is for mixtures, but teacher_forcing.fed_back={self.fed_back.name} feeds "
                "single tokens already. Set teacher_forcing.fed_back=gumbel, or teacher_forcing.hard=false."
            )

    def _check_mechanism(self) -> None:
        if self.mechanism is Mechanism.parallel and self.fed_back is FedBackToken.gumbel:
            raise ConfigurationError(
                "teacher_forcing.mechanism=parallel finds the fed tokens without gradient, but "
                "teacher_forcing.fed_back=gumbel passes gradients through what is fed. "
                "Set teacher_forcing.mechanism=stepwise (or auto), or fed_back=argmax or sample."
            )
        if self.extra_passes is None:
            return
        if self.mechanism is not Mechanism.parallel:
            raise ConfigurationError(
                f"teacher_forcing.extra_passes={self.extra_passes} belongs to teacher_forcing.mechanism=parallel, but "
                f"the mechanism is {self.mechanism.name}. Set teacher_forcing.mechanism=parallel, or "
                "teacher_forcing.extra_passes=null."
            )
        if self.extra_passes < 1:
            raise ConfigurationError(
                f"teacher_forcing.extra_passes is {self.extra_passes}; it must be at least 1, or null for as many as "
                "it takes until no fed token changes."
            )
