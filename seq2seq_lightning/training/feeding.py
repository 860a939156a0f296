"""Runs a model over the gold targets as `teacher_forcing` asks: ratio → gold mask → readouts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.models.feedback import Manner
from seq2seq_lightning.models.seq2seq import Begun, Readouts, Seq2Seq
from seq2seq_lightning.teacher_forcing import (
    SchedulePosition,
    TeacherForcingConfig,
    build_fed_back,
    build_schedule,
    draw_gold_mask,
)
from seq2seq_lightning.teacher_forcing.feeding import FedBackToken, Granularity, Mechanism
from seq2seq_lightning.training.label_losses import label_log_probs


@dataclass(frozen=True)
class FedPart:
    """One run of the decoder over the targets, and its share in the loss."""

    weight: float
    readouts: Readouts
    gold_mask: Tensor | None  # (batch, target_time), gold at padding; None: gold everywhere


@dataclass(frozen=True)
class Fed:
    """What feeding gave: one part, or several whose losses are mixed. The first is what `train/loss` reports."""

    parts: list[FedPart]
    choosable: Tensor  # (batch, target_time): real positions after the first, where gold or an own token may be fed
    ratios: Tensor | None = None  # (batch, target_time), where each token has its own

    def counts(self) -> dict[str, Tensor]:
        """Sums over this micro-batch that are logged, scalars on the device."""
        choosable = self.choosable.sum()
        fed_back = torch.zeros_like(choosable, dtype=torch.float64)
        for part in self.parts:
            if part.gold_mask is not None:
                fed_back += part.weight * (~part.gold_mask).sum()
        counts = {"choosable": choosable, "fed_back": fed_back, "micro_batches": torch.ones_like(choosable)}
        counts["passes"] = torch.full_like(choosable, sum(part.readouts.passes for part in self.parts) + self.measuring)
        if self.ratios is not None:
            counts["ratios"] = self.ratios.masked_fill(~self.choosable, 0.0).sum()
        return counts

    @property
    def measuring(self) -> int:
        """The passes that were made only to learn how sure the model is."""
        return int(self.ratios is not None)


class Feeder:
    """Feeds gold and own tokens; a pure function of (seed, update, the rows' places in the global batch).

    Only the schedule may remember anything: what it saw of validations.
    """

    def __init__(self, config: TeacherForcingConfig, seed: int) -> None:
        self.config, self.seed = config, seed
        self.schedule = build_schedule(config)

    def ratio(self, position: SchedulePosition) -> float:
        """The probability of feeding gold at an update."""
        return self.schedule.ratio(position)

    def feed(self, model: Seq2Seq, batch: Batch, ratio: float, update: int) -> Fed:
        """Run the decoder over one micro-batch. ratio: the probability of feeding gold at this update."""
        begun = model.begin(batch.source, batch.source_lengths, batch.target_inputs, batch.copy_ids)
        choosable = batch.target_labels != model.pad_id
        choosable[:, 0] = False
        ratios = self._ratios(model, begun, batch) if self.schedule.is_per_token else None
        gold_mask = self._gold_mask(ratio if ratios is None else ratios, batch, update)
        if gold_mask is not None:
            gold_mask |= ~choosable  # what follows the end of a target is never heard
        parts = [FedPart(1.0, self._unroll(model, begun, gold_mask, batch, update), gold_mask)]
        if self.config.granularity is Granularity.mixed and gold_mask is not None:
            parts = [FedPart(1.0 - ratio, parts[0].readouts, gold_mask)]
            if ratio > 0:
                parts.insert(0, FedPart(ratio, self._unroll(model, begun, None, batch, update), None))
        return Fed(parts, choosable, ratios)

    def _gold_mask(self, ratio: float | Tensor, batch: Batch, update: int) -> Tensor | None:
        config, time = self.config, batch.target_inputs.shape[1]
        return draw_gold_mask(ratio, config.granularity, self.seed, update, batch.places, time, config.position_decay)

    @torch.no_grad()
    def _ratios(self, model: Seq2Seq, begun: Begun, batch: Batch) -> Tensor:
        """What the schedule makes of the model's confidence in each label, given gold tokens; without gradient."""
        log_probs = label_log_probs(model, model.unroll(begun), batch.target_labels, model.pad_id)
        return self.schedule.per_token(log_probs.exp())

    def _unroll(self, model: Seq2Seq, begun: Begun, gold_mask: Tensor | None, batch: Batch, update: int) -> Readouts:
        config, time = self.config, batch.target_inputs.shape[1]
        fed_back = build_fed_back(config, self.seed, update, batch.places, time)
        return model.unroll(begun, gold_mask, fed_back, manner(config, model.decoder.is_fusible, batch.source.device))

    def observe(self, scores: Mapping[str, float]) -> None:
        """Tell the schedule of a validation; the scores are those of all ranks together."""
        self.schedule.observe(scores)

    def state_dict(self) -> dict[str, Any]:
        """What the schedule remembers, as plain values; empty for most."""
        return self.schedule.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.schedule.load_state_dict(state)


def manner(config: TeacherForcingConfig, is_fusible: bool, device: torch.device) -> Manner:
    """How a decoder is run on a device.

    `auto` is `parallel`, until no fed token changes, where that is legal and the device is a GPU, whose time goes by
    launches, not by products; and `stepwise` elsewhere. Either gives the same tokens.
    """
    mixes = config.fed_back is FedBackToken.gumbel
    parallel = config.mechanism is Mechanism.parallel
    if config.mechanism is Mechanism.auto:
        parallel = is_fusible and not mixes and device.type == "cuda"
    return Manner(parallel, config.extra_passes, mixes, config.tbptt)
