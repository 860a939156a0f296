"""The LightningModule: glue between batch, model, feeding, loss and search; it owns no equation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor
from torch.optim.lr_scheduler import ReduceLROnPlateau

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.decoding.protocol import SpecialIds
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.randomness import reseed
from seq2seq_lightning.teacher_forcing import SchedulePosition, TeacherForcingConfig, rules
from seq2seq_lightning.teacher_forcing.adaptive import AdaptiveConfig
from seq2seq_lightning.training import learning_rates
from seq2seq_lightning.training.diagnostics import gradient_norms, read_norms
from seq2seq_lightning.training.feeding import Feeder
from seq2seq_lightning.training.learning_rates import (
    LearningRateConfig,
    PlateauRateConfig,
    TrainingLength,
    build_learning_rate,
)
from seq2seq_lightning.training.objectives import Losses, ObjectiveConfig, TrainingStep, build_objective
from seq2seq_lightning.training.optimizers import OptimizerConfig, build_optimizer
from seq2seq_lightning.training.validation import Validation


@dataclass(frozen=True)
class Recipe:
    """What training does to a model, besides the model and the data."""

    teacher_forcing: TeacherForcingConfig
    objective: ObjectiveConfig
    optimizer: OptimizerConfig
    learning_rate: LearningRateConfig
    seed: int
    total_updates: int
    updates_per_epoch: int
    log_every: int


def _refuse_what_follows_validations(recipe: Recipe) -> None:
    if isinstance(recipe.teacher_forcing, AdaptiveConfig):
        raise ConfigurationError(rules.NEEDS_VALIDATION)
    if isinstance(recipe.learning_rate, PlateauRateConfig):
        raise ConfigurationError(learning_rates.NEEDS_VALIDATION)


class TrainingModule(pl.LightningModule):
    """Trains a Seq2Seq by summed token losses, divided once by the labels of the global batch.

    self_contained: what a checkpoint carries besides weights and training state: `config` and `vocabularies`.
    """

    def __init__(
        self,
        model: Seq2Seq,
        recipe: Recipe,
        ids: SpecialIds,
        validation: Validation | None,
        self_contained: Mapping[str, Any],
    ) -> None:
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.objective = build_objective(recipe.objective, model, recipe.seed)
        self.feeder = Feeder(recipe.teacher_forcing, recipe.seed)
        self.ids = ids
        self.validation = validation
        if validation is None:  # a task may not tell beforehand
            _refuse_what_follows_validations(recipe)
        self.self_contained = dict(self_contained)
        self.shown: dict[str, float] = {}  # what the progress bar shows
        self._sums: list[dict[str, Tensor]] = []  # of the micro-batches of one update, to be logged, not yet read
        self._plateau: ReduceLROnPlateau | None = None
        self._plateau_state: dict[str, Any] | None = None  # of a checkpoint, until the optimiser exists

    # -- training ------------------------------------------------------------------------------------------------

    def ratio(self) -> float:
        """The probability of feeding gold at the coming update."""
        update = self.trainer.global_step
        position = SchedulePosition(
            update=update,
            epoch=update // self.recipe.updates_per_epoch,
            share=update / self.recipe.total_updates,
        )
        return self.feeder.ratio(position)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one micro-batch, scaled so that accumulation and DDP averaging give the global mean."""
        trainer, seed = self.trainer, self.recipe.seed
        update = trainer.global_step
        micro = batch_idx % trainer.accumulate_grad_batches
        reseed(batch.source.device, seed, "dropout", update, micro, trainer.global_rank)
        step = TrainingStep(
            self.model,
            batch,
            self.ids,
            seed,
            update,
            feed=lambda: self.feeder.feed(self.model, batch, self.ratio(), update),
            is_logged=(update + 1) % self.recipe.log_every == 0,
        )
        losses = self.objective.losses(step)
        self._remember(step, losses)
        return losses.total * (trainer.accumulate_grad_batches * trainer.world_size / batch.label_count)

    def _remember(self, step: TrainingStep, losses: Losses) -> None:
        """Keep this micro-batch's sums on the device, in updates whose loss will be logged; nothing is read here."""
        if not step.is_logged:
            return
        sums = {"sentences": step.is_sentence.sum()} | losses.logged
        if losses.tokens is not None:
            sums |= {"nll": losses.tokens.nll, "labels": losses.tokens.count} | step.fed.counts()
            if losses.tokens.coverage is not None:
                sums["coverage"] = losses.tokens.coverage
        self._sums.append({name: value.detach().double() for name, value in sums.items()})

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip by the norm of the model's whole gradient, before the update; the objective's own is its own affair."""
        clip = self.recipe.optimizer.clip_norm
        norm, parts = None, gradient_norms(self.model) if self._sums else {}
        if clip is not None:
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), clip)
        self.objective.before_update()
        if self._sums:
            self._log_update(norm, parts, optimizer)

    def _log_update(self, norm: Tensor | None, parts: Mapping[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
        sums = self._global_sums()
        labels, sentences = sums.pop("labels", 0.0), sums.pop("sentences")
        entries = {"train/ratio": self.ratio(), "train/learning_rate": optimizer.param_groups[0]["lr"]}
        if labels:
            entries |= {"train/loss": sums.pop("nll") / labels} | self._feeding_entries(sums)
            self.shown |= {"loss": entries["train/loss"]}
        if "coverage" in sums:
            entries["train/coverage_loss"] = sums.pop("coverage") / labels
        entries |= {f"train/{name}": value / sentences for name, value in sums.items()}
        if norm is not None:
            entries["train/gradient_norm"] = float(norm)
        entries |= {f"train/{name}": value for name, value in read_norms(parts).items()}
        self.write(entries, self.trainer.global_step + 1)

    def _feeding_entries(self, sums: dict[str, float]) -> dict[str, float]:
        """What was fed, of the sums of an update, which it takes out; without a choice nothing is fed back."""
        choosable = max(sums.pop("choosable"), 1.0)
        entries = {"train/fed_back": sums.pop("fed_back") / choosable}
        entries["train/passes"] = sums.pop("passes") / sums.pop("micro_batches")
        if "ratios" in sums:  # each token has its own: the mean
            entries["train/ratio"] = sums.pop("ratios") / choosable
        return entries

    def _global_sums(self) -> dict[str, float]:
        """The sums of one update over its micro-batches and all ranks; forgets them."""
        names = list(self._sums[0])
        total = torch.stack([torch.stack([sums[name] for name in names]) for sums in self._sums]).sum(0)
        self._sums.clear()
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(total)
        return dict(zip(names, total.tolist(), strict=True))

    def write(self, entries: Mapping[str, float], global_step: int) -> None:
        """Send entries to history and trackers under the number of updates made."""
        for logger in self.trainer.loggers:
            logger.log_metrics(dict(entries), step=global_step)

    # -- validation ----------------------------------------------------------------------------------------------

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Measure one batch of the validation split."""
        assert self.validation is not None
        self.validation.measure(self.model, batch)

    def on_validation_epoch_end(self) -> None:
        """Put the shares of all ranks together, log the scores, let the plateau look at them."""
        assert self.validation is not None
        scores = self.validation.conclude()
        self.write(scores, self.trainer.global_step)
        self.log_dict(scores, logger=False, batch_size=1)
        monitor = self.validation.config.monitor
        self.shown |= {monitor: scores[monitor]}
        self.feeder.observe(scores)
        if self._plateau is not None:
            self._plateau.step(scores[monitor])

    # -- optimiser and checkpoint --------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """The optimiser; closed-form learning rates follow every update, the plateau follows validations."""
        fused = self.trainer.precision != "16-mixed"
        optimizer = build_optimizer(self.recipe.optimizer, self.model.parameters(), fused=fused)
        own = [parameter for parameter in self.objective.parameters() if parameter.requires_grad]
        if own:
            optimizer.add_param_group({"params": own, **self.objective.parameter_group()})
        mode = self.validation.mode if self.validation is not None else "min"
        length = TrainingLength(self.recipe.total_updates, self.recipe.updates_per_epoch)
        rate = build_learning_rate(self.recipe.learning_rate, optimizer, length, mode)
        if isinstance(rate.scheduler, ReduceLROnPlateau):
            self._plateau = rate.scheduler
            return optimizer
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": rate.scheduler, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make the checkpoint self-contained."""
        checkpoint |= self.self_contained
        checkpoint |= {"feeding": state} if (state := self.feeder.state_dict()) else {}
        if self._plateau is not None:
            checkpoint["plateau"] = self._plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Continue feeding and plateau where they were; Lightning restores the rest."""
        if "feeding" in checkpoint:
            self.feeder.load_state_dict(checkpoint["feeding"])
        self._plateau_state = checkpoint.get("plateau")

    def on_fit_start(self) -> None:
        """Give a resumed plateau its state, once the optimisers exist."""
        if self._plateau_state is not None and self._plateau is not None:
            self._plateau.load_state_dict(self._plateau_state)
