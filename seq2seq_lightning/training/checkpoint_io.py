"""Lightning's way to our checkpoints: a plugin for the Trainer, so that saving is durable and loading runs no code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch.plugins import CheckpointIO

from seq2seq_lightning.errors import CheckpointError
from seq2seq_lightning.training.checkpoints import from_lightning, read_checkpoint, to_lightning, write_checkpoint


class DurableCheckpointIO(CheckpointIO):
    """``Trainer(plugins=[DurableCheckpointIO()])``: files of our format, replaced as a whole, resumed as before."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write what Lightning dumps. There are no storage options."""
        if storage_options is not None:
            raise TypeError("DurableCheckpointIO takes no storage_options")
        write_checkpoint(Path(path), from_lightning(checkpoint))

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Read a dump for Lightning; always with ``weights_only=True``, whatever is asked."""
        checkpoint = read_checkpoint(Path(path), map_location or "cpu")
        if not checkpoint.can_be_resumed:
            raise CheckpointError(
                f"{path} can be decoded with, but not trained on: its optimiser state was dropped when the run was "
                "finished. Train again with fresh=true, or keep it with checkpoint.after_scoring=keep_all."
            )
        return to_lightning(checkpoint)

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint, if it is there."""
        Path(path).unlink(missing_ok=True)
