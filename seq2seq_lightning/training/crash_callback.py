"""The places in training and validation at which a fault-injection test may end the process."""

from __future__ import annotations

from typing import Any

from lightning.pytorch.callbacks import Callback

from seq2seq_lightning.crash_points import crash_point


class CrashPoints(Callback):
    """Comes to the crash points of training and validation; part of a training only where a test asks for it."""

    def on_train_start(self, *_: Any) -> None:
        """Everything is built, or restored."""
        crash_point("training begin")

    def on_train_batch_start(self, *_: Any) -> None:
        """Between two micro-batches."""
        crash_point("training batch")

    def on_before_optimizer_step(self, *_: Any) -> None:
        """Gradients are there, the update is not."""
        crash_point("training update")

    def on_train_batch_end(self, *_: Any) -> None:
        """The weights have moved, and nothing is saved."""
        crash_point("training batch end")

    def on_validation_start(self, *_: Any) -> None:
        """The averaged weights may be lent to the model."""
        crash_point("validation begin")

    def on_validation_batch_end(self, *_: Any) -> None:
        """A part of the split is decoded."""
        crash_point("validation batch")

    def on_validation_epoch_end(self, *_: Any) -> None:
        """The scores are about to be put together."""
        crash_point("validation end")

    def on_train_end(self, *_: Any) -> None:
        """The last checkpoint is written; that training has ended stands nowhere."""
        crash_point("training end")
