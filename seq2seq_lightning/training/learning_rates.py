"""How the learning rate moves: a pure function of the update, or of the validation scores.

`cosine` is Loshchilov and Hutter 2017 (arXiv 1608.03983, eq. 5) without restarts; `halve_after` is the schedule of
Sutskever et al. 2014 (arXiv 1409.3215, section 3.4) and Luong et al. 2015 (arXiv 1508.04025, section 4.1);
`inverse_sqrt` that of Vaswani et al. 2017 (arXiv 1706.03762, eq. 3), scaled so that its highest value is the base.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.plugins import Table
from seq2seq_lightning.teacher_forcing.feeding import Unit

NEEDS_VALIDATION = (
    "learning_rate=plateau lowers the rate after validations, but there is no validation split. Give one (data.val, "
    "data.val_size), or choose a schedule of time such as learning_rate=cosine."
)


@dataclass
class LearningRateConfig:
    """What every schedule shares: nothing but the name."""

    name: str = "constant"


@dataclass
class ConstantRateConfig(LearningRateConfig):
    """The base learning rate throughout, after a warm-up if asked for."""

    name: str = "constant"
    warmup: int = 0  # updates over which the rate rises in a straight line

    def __post_init__(self) -> None:
        """Refuse a negative warm-up."""
        _require(self.warmup >= 0, "warmup", self.warmup, "at least 0 updates")


@dataclass
class FallingRateConfig(LearningRateConfig):
    """From the base learning rate to `end` times it, at the end of training."""

    end: float = 0.0  # share of the base learning rate that is left at the end
    warmup: int = 0  # updates over which the rate rises first

    def __post_init__(self) -> None:
        """Refuse a negative warm-up, and a share outside [0, 1]."""
        _require(self.warmup >= 0, "warmup", self.warmup, "at least 0 updates")
        _require(0 <= self.end <= 1, "end", self.end, "a share of optimizer.learning_rate, from 0 to 1")


@dataclass
class LinearRateConfig(FallingRateConfig):
    """A straight line from the base learning rate to `end` times it, at the end of training."""

    name: str = "linear"


@dataclass
class CosineRateConfig(FallingRateConfig):
    """Half a cosine from the base learning rate to `end` times it, at the end of training."""

    name: str = "cosine"


@dataclass
class HalveAfterRateConfig(LearningRateConfig):
    """The base learning rate until `after`, where it is multiplied by `factor`, and again every `every` from there.

    The default is the schedule of Luong et al. 2015 (halved after each epoch once 5 of 10 are done) for a training of
    any length. Sutskever et al. 2014: unit=epoch, after=5, every=0.5, of 7.5 epochs.
    """

    name: str = "halve_after"
    unit: Unit = Unit.training  # `after` and `every` count updates | epochs | the share of the training
    after: float = 0.5  # units done before the rate is lowered for the first time
    every: float = 0.1  # units between one lowering and the next
    factor: float = 0.5  # multiplies the rate

    def __post_init__(self) -> None:
        """Refuse what would never lower the rate, or lower it without end."""
        _require(0 < self.factor < 1, "factor", self.factor, "between 0 and 1")
        whole = self.unit is Unit.training
        unit = "a share of the training (learning_rate.unit=training)" if whole else f"a number of {self.unit.name}s"
        _require(0 <= self.after < (1 if whole else math.inf), "after", self.after, f"{unit}, at least 0")
        _require(0 < self.every <= (1 if whole else math.inf), "every", self.every, f"{unit}, above 0")


@dataclass
class InverseSqrtRateConfig(LearningRateConfig):
    """Linear warm-up to the base learning rate, then base · sqrt(warmup / update)."""

    name: str = "inverse_sqrt"
    warmup: int = 400  # updates to the highest rate

    def __post_init__(self) -> None:
        """Refuse no warm-up: the formula divides by it."""
        _require(self.warmup >= 1, "warmup", self.warmup, "at least 1 update")


@dataclass
class PlateauRateConfig(LearningRateConfig):
    """Lower the rate when `validation.monitor` has stopped improving."""

    name: str = "plateau"
    factor: float = 0.5  # multiplies the rate
    patience: int = 2  # validations without improvement that are borne
    min_learning_rate: float = 1e-6  # the rate stays above this

    def __post_init__(self) -> None:
        """Refuse factors that would not lower the rate."""
        _require(0 < self.factor < 1, "factor", self.factor, "between 0 and 1")
        _require(self.patience >= 0, "patience", self.patience, "at least 0 validations")
        _require(self.min_learning_rate >= 0, "min_learning_rate", self.min_learning_rate, "at least 0")


@dataclass(frozen=True)
class TrainingLength:
    """How many updates make a training and an epoch, where that is known in advance."""

    updates: int | None = None
    updates_per_epoch: int | None = None

    def updates_per(self, unit: Unit) -> float:
        """The updates of one unit that a schedule counts."""
        found = {Unit.update: 1, Unit.epoch: self.updates_per_epoch, Unit.training: self.updates}[unit]
        assert found is not None, "`check_length` comes first"
        return found


def constant_factor(config: ConstantRateConfig, update: int, length: TrainingLength) -> float:
    """min((update + 1)/warmup, 1), where update counts those done before."""
    return min((update + 1) / config.warmup, 1.0) if config.warmup else 1.0


def linear_factor(config: LinearRateConfig, update: int, length: TrainingLength) -> float:
    """(update + 1)/warmup at first, then 1 - (1 - end)·p with p = (update - warmup)/(updates - warmup), at most 1."""
    if update < config.warmup:
        return (update + 1) / config.warmup
    return 1 - (1 - config.end) * _progress(update, config.warmup, length)


def cosine_factor(config: CosineRateConfig, update: int, length: TrainingLength) -> float:
    """(update + 1)/warmup at first, then end + (1 - end)·(1 + cos(π·p))/2 with the p of `linear_factor`."""
    if update < config.warmup:
        return (update + 1) / config.warmup
    return config.end + (1 - config.end) * (1 + math.cos(math.pi * _progress(update, config.warmup, length))) / 2


def halve_after_factor(config: HalveAfterRateConfig, update: int, length: TrainingLength) -> float:
    """1 before `after`, then factor^(1 + ⌊(i - after)/every⌋), where i is the update in the unit that is counted.

    Compared in updates, with a millionth of one to spare: shares such as 0.6 have no exact binary form.
    """
    per_unit = length.updates_per(config.unit)
    late = update - config.after * per_unit + 1e-6
    return config.factor ** (1 + late // (config.every * per_unit)) if late >= 0 else 1.0


def inverse_sqrt_factor(config: InverseSqrtRateConfig, update: int, length: TrainingLength) -> float:
    """With i = update + 1: i/warmup up to 1, then sqrt(warmup/i)."""
    return min((update + 1) / config.warmup, math.sqrt(config.warmup / (update + 1)))


def _progress(update: int, warmup: int, length: TrainingLength) -> float:
    """The share of the training behind the warm-up that is done, at most 1."""
    assert length.updates is not None, "`check_length` comes first"
    span = length.updates - warmup
    return min((update - warmup) / span, 1.0) if span > 0 else 1.0


LEARNING_RATES: Table[type[LearningRateConfig], Callable[[Any, int, TrainingLength], float] | None] = Table(
    "learning_rates",
    LearningRateConfig,
    {
        ConstantRateConfig: constant_factor,
        LinearRateConfig: linear_factor,
        CosineRateConfig: cosine_factor,
        HalveAfterRateConfig: halve_after_factor,
        InverseSqrtRateConfig: inverse_sqrt_factor,
        PlateauRateConfig: None,  # follows the validation, not the update
    },
)


@dataclass(frozen=True)
class LearningRate:
    """A scheduler of torch, and when to step it: after each update, or with each validation's score."""

    scheduler: LRScheduler | ReduceLROnPlateau
    follows_validation: bool


def factor(config: LearningRateConfig, update: int, length: TrainingLength) -> float:
    """What multiplies the base learning rate in the update that follows ``update`` earlier ones.

    Schedules that follow the validation have no such function and give 1.
    """
    function = LEARNING_RATES[type(config)]
    return 1.0 if function is None else function(config, update, length)


def build_learning_rate(
    config: LearningRateConfig, optimizer: Optimizer, length: TrainingLength, mode: str = "min"
) -> LearningRate:
    """Put a schedule on the optimiser. mode: ``min`` or ``max``, how ``validation.monitor`` improves."""
    if isinstance(config, PlateauRateConfig):
        plateau = ReduceLROnPlateau(
            optimizer,
            mode=mode,  # type: ignore[arg-type]
            factor=config.factor,
            patience=config.patience,
            min_lr=config.min_learning_rate,
        )
        return LearningRate(plateau, follows_validation=True)
    check_length(config, length)
    scheduler = LambdaLR(optimizer, lambda update: factor(config, update, length))
    return LearningRate(scheduler, follows_validation=False)


def length_problems(
    config: LearningRateConfig, max_steps: int | None, max_epochs: int | None, has_validation: bool = True
) -> list[str]:
    """What the length of the training, and what it validates on, make of a schedule, as far as settings alone tell."""
    if isinstance(config, PlateauRateConfig) and not has_validation:
        return [NEEDS_VALIDATION]
    if not isinstance(config, HalveAfterRateConfig):
        return []
    limits = {Unit.update: ("trainer.max_steps", max_steps), Unit.epoch: ("trainer.max_epochs", max_epochs)}
    key, limit = limits.get(config.unit, ("", None))
    if limit is None or config.after < limit:
        return []
    return [
        f"learning_rate.after={config.after:g} {config.unit.name}s is never passed, because {key}={limit}, so that "
        f"learning_rate=halve_after changes nothing. Set learning_rate.after below {limit}, or learning_rate=constant."
    ]


def check_length(config: LearningRateConfig, length: TrainingLength) -> None:
    """Refuse a schedule that counts on a length which is not known."""
    unit = config.unit if isinstance(config, HalveAfterRateConfig) else None
    of_training = isinstance(config, LinearRateConfig | CosineRateConfig) or unit is Unit.training
    if (of_training and length.updates is None) or (unit is Unit.epoch and length.updates_per_epoch is None):
        raise ConfigurationError(
            f"learning_rate={config.name} needs the number of updates in advance, which is not known here. "
            "Set trainer.max_steps, or choose learning_rate=constant."
        )


def _require(holds: bool, key: str, value: float, allowed: str) -> None:
    if not holds:
        raise ConfigurationError(f"learning_rate.{key} is {value}; it must be {allowed}.")
