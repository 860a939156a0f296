"""The LightningModule that trains several replicas at once: each by its own streams, loss, clipping and optimiser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import Logger
from torch import Tensor
from torch.nn import functional as F

from seq2seq_lightning.models.replicas.model import Drawn, Replicas
from seq2seq_lightning.randomness import stream_seed
from seq2seq_lightning.teacher_forcing import SchedulePosition
from seq2seq_lightning.teacher_forcing.gold_mask import draw_gold_masks
from seq2seq_lightning.training.diagnostics import part_of
from seq2seq_lightning.training.feeding import Feeder
from seq2seq_lightning.training.learning_rates import TrainingLength, build_learning_rate
from seq2seq_lightning.training.module import Recipe, TrainingModule
from seq2seq_lightning.training.objectives.maximum_likelihood import MaximumLikelihoodConfig
from seq2seq_lightning.training.optimizers import build_optimizer
from seq2seq_lightning.training.replicas.data import ReplicaBatch


class ReplicaModule(pl.LightningModule):
    """Trains the models of several modules, which differ in their seeds alone.

    loggers: of each replica, to whom it writes what it would write alone.
    """

    def __init__(self, modules: Sequence[TrainingModule], loggers: Sequence[Sequence[Logger]]) -> None:
        super().__init__()
        self.replicas = Replicas([module.model for module in modules])
        self.values = self.replicas.block.values
        self.seeds = [module.recipe.seed for module in modules]
        self.recipe: Recipe = modules[0].recipe
        self.pad_id, self.validation = modules[0].ids.pad, None
        self.self_contained: list[dict[str, Any]] = [module.self_contained for module in modules]
        self.histories = loggers
        self.schedule = Feeder(self.recipe.teacher_forcing, self.seeds[0])
        assert isinstance(self.recipe.objective, MaximumLikelihoodConfig)
        self.label_smoothing = self.recipe.objective.label_smoothing
        self.shown: dict[str, float] = {}
        self._sums: dict[str, list[float]] = {}

    def ratio(self) -> float:
        """The probability of feeding gold at the coming update."""
        update = self.trainer.global_step
        epoch, share = update // self.recipe.updates_per_epoch, update / self.recipe.total_updates
        return self.schedule.ratio(SchedulePosition(update=update, epoch=epoch, share=share))

    def training_step(self, batch: ReplicaBatch, batch_idx: int) -> Tensor:
        """The sum of the replicas' losses, each divided by its own labels: no gradient of one reaches another."""
        update = self.trainer.global_step
        drawn = self._drawn(batch, update)
        begun = self.replicas.begin(batch.source, batch.source_lengths, batch.target_inputs, drawn)
        choosable = batch.target_labels != self.pad_id
        choosable[:, 0] = False
        own = self._own(batch, update, choosable)
        readouts = self.replicas.unroll(begun, own, [share.target_time for share in batch.shares])
        logits = self.replicas.logits(readouts.readout)
        losses = self._losses(logits, batch.target_labels, self.label_smoothing)
        if (update + 1) % self.recipe.log_every == 0:
            self._remember(batch, logits, own, choosable)
        return (losses / torch.tensor([share.labels for share in batch.shares], dtype=losses.dtype)).sum()

    def _losses(self, logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        """Each replica's summed losses: (replicas,)."""
        flat, wanted = logits.flatten(0, 1), labels.flatten()
        each = F.cross_entropy(flat, wanted, ignore_index=self.pad_id, reduction="none", label_smoothing=smoothing)
        return each.view(self.replicas.count, -1).sum(1)

    def _drawn(self, batch: ReplicaBatch, update: int) -> Drawn:
        """The dropout of this update, each replica's from its own stream."""
        seeds = [stream_seed(seed, "dropout", update, 0, 0) for seed in self.seeds]
        return self.replicas.draw(batch.shares, seeds, batch.rows, batch.source.shape[1], batch.target_inputs.shape[1])

    def _own(self, batch: ReplicaBatch, update: int, choosable: Tensor) -> Tensor | None:
        """Where own tokens are fed, (rows, target_time); None where they are nowhere."""
        config, time = self.recipe.teacher_forcing, batch.target_inputs.shape[1]
        gold = draw_gold_masks(
            self.ratio(), config.granularity, self.seeds, update, batch.places, time, config.position_decay
        )
        if gold is None:
            return None
        own = choosable & ~gold
        return own if bool(own.any()) else None

    # -- the update ----------------------------------------------------------------------------------------------------

    def backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """Gradients are written over the old ones."""
        self.replicas.backward(loss)

    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: torch.optim.Optimizer) -> None:
        """Nothing: see ``backward``."""

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip each replica by the norm of its own gradient."""
        clip = self.recipe.optimizer.clip_norm
        parts = self._part_norms() if self._sums else {}
        norms = None if clip is None else self.replicas.clip(clip)
        if self._sums:
            self._log_update(norms, parts, optimizer)

    def configure_optimizers(self) -> Any:
        """One optimiser over the whole block: what it does, it does to each number by itself."""
        recipe = self.recipe
        optimizer = build_optimizer(recipe.optimizer, [self.values])
        length = TrainingLength(recipe.total_updates, recipe.updates_per_epoch)
        rate = build_learning_rate(recipe.learning_rate, optimizer, length, "min")
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rate.scheduler, "interval": "step"}}

    # -- what is logged ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def _remember(self, batch: ReplicaBatch, logits: Tensor, own: Tensor | None, choosable: Tensor) -> None:
        """The sums of an update that is logged, per replica."""
        count = self.replicas.count
        fed_back = torch.zeros(count) if own is None else own.view(count, -1).sum(1)
        wide = logits if logits.dtype is torch.float64 else logits.float()
        self._sums = {
            "nll": self._losses(wide, batch.target_labels, 0.0).tolist(),
            "labels": [float(share.labels) for share in batch.shares],
            "fed_back": fed_back.tolist(),
            "choosable": choosable.view(count, -1).sum(1).tolist(),
        }

    @torch.no_grad()
    def _part_norms(self) -> dict[str, list[float]]:
        """The norm of each part's gradient, per replica."""
        squares: dict[str, Tensor] = {}
        for name, gradient in zip(self.replicas.block.places, self.replicas.gradients, strict=True):
            square = gradient.square().flatten(1).sum(1)
            squares[part_of(name)] = squares[part_of(name)] + square if part_of(name) in squares else square
        return {part: square.sqrt().tolist() for part, square in squares.items()}

    def _log_update(
        self, norms: Tensor | None, parts: Mapping[str, list[float]], optimizer: torch.optim.Optimizer
    ) -> None:
        sums, self._sums = self._sums, {}
        is_fusible, ratio, rate = self.replicas.plain.decoder.is_fusible, self.ratio(), optimizer.param_groups[0]["lr"]
        for replica, loggers in enumerate(self.histories):
            its = {name: values[replica] for name, values in sums.items()}
            entries = {"train/ratio": ratio, "train/learning_rate": rate, "train/loss": its["nll"] / its["labels"]}
            entries["train/fed_back"] = its["fed_back"] / max(its["choosable"], 1.0)
            entries["train/passes"] = 2.0 if is_fusible and its["fed_back"] else 1.0
            if norms is not None:
                entries["train/gradient_norm"] = float(norms[replica])
            entries |= {f"train/gradient_norm/{part}": values[replica] for part, values in parts.items()}
            for logger in loggers:
                logger.log_metrics(entries, step=self.trainer.global_step + 1)
            self.shown = {"loss": entries["train/loss"]}
