"""A training of a second or less, in this process, and what it left."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from seq2seq_lightning.config import Config
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.experiments.files import read_jsonl
from seq2seq_lightning.job import Job
from seq2seq_lightning.run import train_model
from seq2seq_lightning.training.checkpoint_index import last_checkpoint
from seq2seq_lightning.training.checkpoints import Checkpoint, read_checkpoint

# 90 rows of 1 to 10 symbols: an epoch has 11 updates of 8 rows and one of 2
PLAIN: dict[str, Any] = {
    "data": {"name": "reverse", "train_size": 90, "val_size": 9, "test_size": 9, "symbols": 6, "batching": {"size": 8}},
    "model": {
        "encoder": {"embedding_size": 6, "hidden_size": 8},
        "decoder": {"embedding_size": 6, "hidden_size": 8},
    },
    "teacher_forcing": {"name": "constant", "ratio": 0.5},
    "trainer": {"max_steps": 20, "accelerator": "cpu", "log_every": 1, "precision": "64-true"},
}


@dataclass(frozen=True)
class Trained:
    """A folder in which a training came to its end."""

    folder: Path
    config: Config

    @cached_property
    def history(self) -> dict[tuple[int, str], float]:
        """Logged values by (global_step, key)."""
        entries = read_jsonl(self.folder / "history.jsonl")
        return {(entry["global_step"], entry["key"]): entry["value"] for entry in entries}

    def curve(self, key: str) -> list[float]:
        """The logged values of a key, in order."""
        return [value for (_, name), value in sorted(self.history.items()) if name == key]

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The last one."""
        last = last_checkpoint(self.folder / "checkpoints")
        assert last is not None
        return read_checkpoint(last)

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        """Of the last checkpoint."""
        return self.checkpoint.weights

    def weights_at(self, update: int) -> dict[str, torch.Tensor]:
        """Of the checkpoint of an update."""
        return read_checkpoint(self.folder / "checkpoints" / f"step-{update}.ckpt").weights


def tiny_config(**changes: dict[str, Any]) -> Config:
    """The settings above, with these sections changed."""
    plain = copy.deepcopy(PLAIN)
    for section, values in changes.items():
        plain[section] = plain.get(section, {}) | values
    return Config.from_plain(plain)


def train(folder: Path, **changes: dict[str, Any]) -> Trained:
    """Train, from the newest checkpoint in the folder if there is one."""
    config = tiny_config(**changes)
    folder.mkdir(exist_ok=True)
    train_model(Job(str(folder), "0" * 12, config.to_plain()), config, build_task(config.data).read(), {})
    return Trained(folder, config)
