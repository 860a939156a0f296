"""One update is one update, however it is divided and in whatever precision it is computed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq_lightning.config import Config
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.files import read_jsonl
from seq2seq_lightning.job import Job
from seq2seq_lightning.run import train_model
from seq2seq_lightning.training.checkpoint_index import last_checkpoint
from seq2seq_lightning.training.checkpoints import read_checkpoint
from seq2seq_lightning.training.settings import Accelerator, TrainerConfig
from seq2seq_lightning.training.trainer import prepare_process

PLAIN: dict[str, Any] = {
    "data": {"name": "reverse", "train_size": 90, "val_size": 9, "symbols": 6, "batching": {"size": 8}},
    "model": {
        "encoder": {"embedding_size": 6, "hidden_size": 8},
        "decoder": {"embedding_size": 6, "hidden_size": 8},
    },
    "teacher_forcing": {"name": "constant", "ratio": 0.5},
    "trainer": {"max_steps": 20, "accelerator": "cpu", "log_every": 1, "precision": "64-true"},
}


def train(folder: Path, **trainer: Any) -> tuple[dict[tuple[int, str], float], dict[str, torch.Tensor]]:
    """History and last weights of a training in this process."""
    plain = copy.deepcopy(PLAIN)
    plain["trainer"] |= trainer
    config = Config.from_plain(plain)
    folder.mkdir()
    train_model(Job(str(folder), "0" * 12, config.to_plain()), config, build_task(config.data).read(), {})
    history = {(entry["global_step"], entry["key"]): entry["value"] for entry in read_jsonl(folder / "history.jsonl")}
    last = last_checkpoint(folder / "checkpoints")
    assert last is not None
    return history, read_checkpoint(last).weights


def furthest(one: dict[tuple[int, str], float], other: dict[tuple[int, str], float]) -> float:
    """The largest difference of two histories of the same entries."""
    assert one.keys() == other.keys()
    return max(abs(one[key] - other[key]) for key in one)


def test_micro_batches_are_one_batch(tmp_path: Path) -> None:
    """11 updates of 8 rows and one of 2 make an epoch: 3 micro-batches hold 3, 3, 2 rows, or 1, 1 and none."""
    whole, weights = train(tmp_path / "whole")
    parts, other = train(tmp_path / "parts", accumulate=3)
    assert len([key for _, key in whole if key == "train/loss"]) == 20
    assert furthest(whole, parts) < 1e-9
    assert all(torch.allclose(weights[name], other[name], rtol=0, atol=1e-9) for name in weights)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("64-true", torch.float64), ("32-true", torch.float32), ("bf16-mixed", torch.float32)]
)
def test_every_precision_trains(precision: str, dtype: torch.dtype, tmp_path: Path) -> None:
    exact, _ = train(tmp_path / "exact", max_steps=3)
    history, weights = train(tmp_path / "other", max_steps=3, precision=precision)
    assert {tensor.dtype for tensor in weights.values()} == {dtype}
    far = furthest(exact, history)
    if precision == "64-true":
        assert far == 0.0
    else:
        assert 0.0 < far < (1e-4 if precision == "32-true" else 0.1)


def test_half_precision_is_for_the_gpu() -> None:
    with pytest.raises(ConfigurationError, match=r"16-mixed needs a GPU\. Set trainer\.precision=bf16-mixed"):
        prepare_process(TrainerConfig(precision="16-mixed", accelerator=Accelerator.cpu), width=64)


def test_the_last_update_is_validated_wherever_the_interval_falls(tmp_path: Path) -> None:
    history, _ = train(tmp_path / "run", max_steps=14)  # an epoch has 12
    assert [step for step, key in history if key == "val/loss"] == [12, 14]
