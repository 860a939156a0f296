"""The moving average of the weights (`optimizer.ema`): trained on are the weights, validated and scored the average."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

STATE = "ema"  # of a checkpoint's training state: {"updates", "weights": those that training goes on with}


class MovingAverage(Callback):
    """An exponential average of the iterates of stochastic approximation (after Polyak and Juditsky 1992), unbiased.

    With the weights θ_k after update k and the decay d, the average after update t is

        Σ_k d^(t-k)·θ_k / Σ_k d^(t-k),  k = 1 … t,

    so that the initial weights have no part in it, however short the training: the division that Adam (Kingma and Ba
    2015, section 3) applies to its averages. As a recursion: a_t = a_{t-1} + w_t·(θ_t - a_{t-1}) with
    w_t = (1 - d)/(1 - d^t), which begins with w_1 = 1.

    A checkpoint holds the average as its weights, so that whatever loads it is given what was validated; the weights
    themselves are part of its training state. Buffers are not averaged.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._averages: list[Tensor] = []  # one per parameter; while a validation runs, the weights themselves

    @property
    def weight(self) -> float:
        """w_t: the share of the newest weights in the average, without the cancellation of 1 - d^t."""
        return (1 - self.decay) / -math.expm1(self.updates * math.log(self.decay))

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Follow the model to its device."""
        self._averages = [average.to(pl_module.device) for average in self._averages]

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take in the weights of an update, after the last of its micro-batches."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        weights = [parameter.detach() for parameter in pl_module.parameters()]
        if not self._averages:
            self._averages = [torch.empty_like(weight).copy_(weight) for weight in weights]
        self.updates += 1
        torch._foreach_lerp_(self._averages, weights, self.weight)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Lend the model the average."""
        self._exchange(pl_module)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Give it back its weights; the checkpoint of this validation is written after that."""
        self._exchange(pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put the average where the weights are, and the weights beside it."""
        if not self._averages:
            return
        checkpoint[STATE] = {"updates": self.updates, "weights": checkpoint["state_dict"]}
        checkpoint["state_dict"] = checkpoint["state_dict"] | self._named(pl_module)

    @torch.no_grad()
    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Undo `on_save_checkpoint`: Lightning has just given the model the average."""
        if STATE not in checkpoint:
            return
        self.updates = checkpoint[STATE]["updates"]
        self._averages = [parameter.detach().clone() for parameter in pl_module.parameters()]
        pl_module.load_state_dict(checkpoint[STATE]["weights"])

    def _named(self, pl_module: pl.LightningModule) -> dict[str, Tensor]:
        """The averages by every name of their parameters: tied ones have several."""
        place = {id(parameter): index for index, parameter in enumerate(pl_module.parameters())}
        named = pl_module.named_parameters(remove_duplicate=False)
        return {name: self._averages[place[id(parameter)]] for name, parameter in named}

    @torch.no_grad()
    def _exchange(self, pl_module: pl.LightningModule) -> None:
        """Copied, not rebound: kernels of cuDNN keep pointers to where weights lie."""
        if not self._averages:
            return
        for average, parameter in zip(self._averages, pl_module.parameters(), strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)
