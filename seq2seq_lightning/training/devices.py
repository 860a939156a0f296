"""Where a single process works; without Lightning, whose import costs more than most translations."""

from __future__ import annotations

import torch

from seq2seq_lightning.training.settings import Accelerator


def synchronise(device: torch.device) -> None:
    """Wait for what was asked of a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def device_named(accelerator: Accelerator) -> torch.device:
    """The GPU if there is one, or as said."""
    gpu = accelerator is Accelerator.gpu or (accelerator is Accelerator.auto and torch.cuda.is_available())
    return torch.device("cuda" if gpu else "cpu")
