"""What training several replicas cost: the seconds of all together, and each replica's own labels and padding."""

from __future__ import annotations

import time
from typing import Any

import lightning.pytorch as pl

from seq2seq_lightning.training.callbacks import Measurements
from seq2seq_lightning.training.replicas.data import ReplicaBatch


class ReplicaMeasurements(Measurements):
    """Counts for each replica what ``Measurements`` counts for one; the clock is that of all."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.each = [Measurements() for _ in range(count)]

    def state_dict(self) -> dict[str, Any]:
        """What each would have kept."""
        for one in self.each:
            one.totals["train_seconds"] = self.totals["train_seconds"]
        return {"replicas": [one.state_dict() for one in self.each]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting; of trainings that were apart the seconds add up."""
        for one, state in zip(self.each, state_dict["replicas"], strict=True):
            one.load_state_dict(state)
        self.totals["train_seconds"] = max(one.totals["train_seconds"] for one in self.each)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: ReplicaBatch, batch_idx: int
    ) -> None:
        """Count the shares of a batch."""
        running = 0.0 if self._clock is None else time.perf_counter() - self._clock
        seconds = self.totals["train_seconds"] + running
        for one, share in zip(self.each, batch.shares, strict=True):
            totals = one.totals
            totals["positions"] += share.positions
            totals["padding"] += share.positions - share.tokens
            totals["labels"] += share.labels
            totals["updates"] += 1
            if totals["updates"] % self.WINDOW == 0:
                totals["train_seconds"] = seconds
                one._close_window()

    def of_each(self) -> list[tuple[dict[str, Any], list[list[float]]]]:
        """Each replica's timings and windows."""
        for one in self.each:
            one.totals["train_seconds"] = self.totals["train_seconds"]
        return [(one.timings(), one.windows) for one in self.each]


STATE = ReplicaMeasurements.__qualname__  # its key among the callbacks of a checkpoint
ALONE = Measurements.__qualname__  # that of a training of its own
