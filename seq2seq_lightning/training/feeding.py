"""Runs a model over the gold targets as `teacher_forcing` asks: ratio → gold mask → readouts."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.models.seq2seq import Readouts, Seq2Seq
from seq2seq_lightning.teacher_forcing import TeacherForcingConfig, build_fed_back, draw_gold_mask


@dataclass(frozen=True)
class FedPart:
    """One run of the decoder over the targets, and its share in the loss."""

    weight: float
    readouts: Readouts
    gold_mask: Tensor | None  # (batch, target_time); None: gold everywhere


@dataclass(frozen=True)
class Fed:
    """What feeding gave: one part, or several whose losses are mixed. The first is what `train/loss` reports."""

    parts: list[FedPart]


class Feeder:
    """Feeds gold and own tokens; a pure function of (seed, update, the rows' places in the global batch)."""

    def __init__(self, config: TeacherForcingConfig, seed: int) -> None:
        self.config, self.seed = config, seed

    def feed(self, model: Seq2Seq, batch: Batch, ratio: float, update: int) -> Fed:
        """Run the decoder over one micro-batch. ratio: the probability of feeding gold at this update."""
        target_time = batch.target_inputs.shape[1]
        gold_mask = draw_gold_mask(ratio, self.config.granularity, self.seed, update, batch.places, target_time)
        fed_back = build_fed_back(self.config, self.seed, update, batch.places, target_time)
        readouts = model.readouts(
            batch.source, batch.source_lengths, batch.target_inputs, gold_mask=gold_mask, fed_back=fed_back
        )
        return Fed([FedPart(1.0, readouts, gold_mask)])
