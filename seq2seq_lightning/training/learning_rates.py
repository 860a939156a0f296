"""How the learning rate moves: a pure function of the update, or of the validation scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from seq2seq_lightning.errors import ConfigurationError


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
class LinearRateConfig(LearningRateConfig):
    """A straight line from the base learning rate to `end` times it, at the end of training."""

    name: str = "linear"
    end: float = 0.0  # share of the base learning rate that is left at the end
    warmup: int = 0  # updates over which the rate rises first

    def __post_init__(self) -> None:
        """Refuse a negative warm-up, and a share outside [0, 1]."""
        _require(self.warmup >= 0, "warmup", self.warmup, "at least 0 updates")
        _require(0 <= self.end <= 1, "end", self.end, "a share of optimizer.learning_rate, from 0 to 1")


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


def constant_factor(config: ConstantRateConfig, update: int, total_updates: int | None = None) -> float:
    """min((update + 1)/warmup, 1), where update counts those done before."""
    return min((update + 1) / config.warmup, 1.0) if config.warmup else 1.0


def linear_factor(config: LinearRateConfig, update: int, total_updates: int | None) -> float:
    """(update + 1)/warmup at first, then 1 - (1 - end)·(update - warmup)/(total - warmup), and `end` from total on."""
    if update < config.warmup:
        return (update + 1) / config.warmup
    span = _number(total_updates) - config.warmup
    progress = min((update - config.warmup) / span, 1.0) if span > 0 else 1.0
    return 1 - (1 - config.end) * progress


def inverse_sqrt_factor(config: InverseSqrtRateConfig, update: int, total_updates: int | None = None) -> float:
    """With i = update + 1: i/warmup up to 1, then sqrt(warmup/i)."""
    return min((update + 1) / config.warmup, math.sqrt(config.warmup / (update + 1)))


LEARNING_RATES: dict[type[LearningRateConfig], Callable[[Any, int, int | None], float] | None] = {
    ConstantRateConfig: constant_factor,
    LinearRateConfig: linear_factor,
    InverseSqrtRateConfig: inverse_sqrt_factor,
    PlateauRateConfig: None,  # follows the validation, not the update
}


@dataclass(frozen=True)
class LearningRate:
    """A scheduler of torch, and when to step it: after each update, or with each validation's score."""

    scheduler: LRScheduler | ReduceLROnPlateau
    follows_validation: bool


def factor(config: LearningRateConfig, update: int, total_updates: int | None) -> float:
    """What multiplies the base learning rate in the update that follows ``update`` earlier ones.

    Schedules that follow the validation have no such function and give 1.
    """
    function = LEARNING_RATES[type(config)]
    return 1.0 if function is None else function(config, update, total_updates)


def build_learning_rate(
    config: LearningRateConfig, optimizer: Optimizer, total_updates: int | None, mode: str = "min"
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
    factor(config, 2**40, total_updates)  # fails now, not in the first update
    scheduler = LambdaLR(optimizer, lambda update: factor(config, update, total_updates))
    return LearningRate(scheduler, follows_validation=False)


def _number(total_updates: int | None) -> int:
    if total_updates is None:
        raise ConfigurationError(
            "learning_rate=linear needs the number of updates in advance, which is not known here. "
            "Set trainer.max_steps, or choose learning_rate=constant."
        )
    return total_updates


def _require(holds: bool, key: str, value: float, allowed: str) -> None:
    if not holds:
        raise ConfigurationError(f"learning_rate.{key} is {value}; it must be {allowed}.")
