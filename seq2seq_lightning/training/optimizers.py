"""Optimisers: what a config offers of torch's Adam, AdamW and SGD."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from torch.nn import Parameter
from torch.optim import SGD, Adam, AdamW, Optimizer

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.plugins import Table

_FUSED_DEVICES = ("cpu", "cuda")
_NOT_OF_TORCH = ("name", "learning_rate", "clip_norm", "ema")  # options that torch's optimisers do not take by name


@dataclass
class OptimizerConfig:
    """What every optimiser shares. Gradients are clipped after they were divided by the global label count."""

    name: str = "adam"
    learning_rate: float = 1e-3  # the base that the learning-rate schedule multiplies
    weight_decay: float = 0.0
    clip_norm: float | None = 1.0  # largest norm of all gradients together; null: no clipping
    ema: float | None = None  # decay per update of the moving average that is validated and scored; null: none

    def __post_init__(self) -> None:
        """Refuse numbers that would not train."""
        _require(0 < self.learning_rate < math.inf, "learning_rate", self.learning_rate, "a number above 0")
        _require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "at least 0")
        if self.clip_norm is not None:
            _require(self.clip_norm > 0, "clip_norm", self.clip_norm, "above 0, or null for no clipping")
        if self.ema is not None:
            allowed = "above 0 and below 1 (0.999 is usual), or null to score the weights themselves"
            _require(0 < self.ema < 1, "ema", self.ema, allowed)


@dataclass
class AdamConfig(OptimizerConfig):
    """Adam (Kingma and Ba 2015); weight decay enters the gradient."""

    name: str = "adam"
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])  # decay of the two running means
    eps: float = 1e-8  # added to the denominator

    def __post_init__(self) -> None:
        """Refuse anything but two decays in [0, 1)."""
        super().__post_init__()
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ConfigurationError(
                f"optimizer.betas is {list(self.betas)}; "
                "it must be two numbers from 0 to below 1, such as [0.9, 0.999]."
            )
        _require(self.eps > 0, "eps", self.eps, "above 0")


@dataclass
class AdamWConfig(AdamConfig):
    """Adam with weight decay apart from the gradient (Loshchilov and Hutter 2019)."""

    name: str = "adamw"
    weight_decay: float = 0.01


@dataclass
class SGDConfig(OptimizerConfig):
    """Stochastic gradient descent, with momentum if asked for."""

    name: str = "sgd"
    learning_rate: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False

    def __post_init__(self) -> None:
        """Refuse Nesterov without momentum, as torch does."""
        super().__post_init__()
        _require(0 <= self.momentum < 1, "momentum", self.momentum, "from 0 to below 1")
        if self.nesterov and not self.momentum:
            raise ConfigurationError(
                "optimizer.nesterov=true needs momentum, but optimizer.momentum is 0. "
                "Set optimizer.momentum=0.9, or optimizer.nesterov=false."
            )


OPTIMIZERS: Table[type[OptimizerConfig], type[Optimizer]] = Table(
    "optimizers", OptimizerConfig, {AdamConfig: Adam, AdamWConfig: AdamW, SGDConfig: SGD}
)


def build_optimizer(config: OptimizerConfig, parameters: Iterable[Parameter], fused: bool = True) -> Optimizer:
    """Build the optimiser over the parameters that learn, fused where torch can.

    fused=False is needed under a gradient scaler (precision 16-mixed), with which Lightning cannot clip otherwise.
    """
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    options: dict[str, Any] = {
        option.name: getattr(config, option.name)
        for option in dataclasses.fields(config)
        if option.name not in _NOT_OF_TORCH
    }
    if "betas" in options:
        options["betas"] = tuple(options["betas"])
    fused = fused and all(can_be_fused(parameter) for parameter in learning)
    return OPTIMIZERS[type(config)](learning, lr=config.learning_rate, fused=fused, **options)  # type: ignore[call-arg]


def can_be_fused(parameter: Parameter) -> bool:
    """Has torch a fused kernel for this parameter?"""
    return parameter.device.type in _FUSED_DEVICES and parameter.is_floating_point()


def _require(holds: bool, key: str, value: float, allowed: str) -> None:
    if not holds:
        raise ConfigurationError(f"optimizer.{key} is {value}; it must be {allowed}.")
