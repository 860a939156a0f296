"""Where a single process works; without Lightning, whose import costs more than most translations."""

from __future__ import annotations

import torch

from seq2seq_lightning.training.settings import Accelerator


def device_named(accelerator: Accelerator) -> torch.device:
    """The GPU if there is one, or as said."""
    gpu = accelerator is Accelerator.gpu or (accelerator is Accelerator.auto and torch.cuda.is_available())
    return torch.device("cuda" if gpu else "cpu")
