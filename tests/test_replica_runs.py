"""Seeds trained at once leave what each leaves alone: history, weights, optimiser, timings; and either road goes on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq_lightning.config import Config
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.files import read_json, read_jsonl
from seq2seq_lightning.experiments.record import read_record
from seq2seq_lightning.job import Job
from seq2seq_lightning.replicas import run_together, train_replicas
from seq2seq_lightning.run import run, train_model
from seq2seq_lightning.training.checkpoints import Checkpoint, read_checkpoint
from seq2seq_lightning.training.resuming import FITTED

SEEDS = (0, 7)
SIDE: dict[str, Any] = {"embedding_size": 6, "hidden_size": 8, "dropout": {"embedding": 0.2}}
BASE: dict[str, Any] = {
    "data": {"name": "reverse", "train_size": 31, "val_size": 0, "test_size": 5, "symbols": 6, "batching": {"size": 2}},
    "model": {
        "cell": {"name": "lstm"},
        "encoder": SIDE,
        "decoder": SIDE | {"context": "attention", "query": "previous"},
    },
    "teacher_forcing": {"name": "constant", "ratio": 0.5, "granularity": "sequence"},
    "optimizer": {"name": "adam", "clip_norm": 0.5},
    "learning_rate": {"name": "linear"},
    "trainer": {"max_steps": 200, "accelerator": "cpu", "log_every": 25, "precision": "64-true"},
    "checkpoint": {"every": 100, "after_scoring": "keep_all"},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "gru, by tokens": {
        "model": {"cell": {"name": "gru"}, "encoder": SIDE, "decoder": SIDE | {"context": "initial", "query": None}},
        "teacher_forcing": {"name": "inverse_sigmoid", "k": 40.0, "unit": "update", "granularity": "token"},
        "optimizer": {"name": "sgd", "momentum": 0.9, "learning_rate": 0.1},
    },
    "by steps": {"teacher_forcing": {"name": "linear", "granularity": "step"}, "optimizer": {"name": "adamw"}},
    "by batches": {"teacher_forcing": {"name": "constant", "ratio": 0.5, "granularity": "batch"}},
    "smoothed": {
        "objective": {"name": "maximum_likelihood", "label_smoothing": 0.1},
        "learning_rate": {"name": "cosine"},
    },
}


@dataclass(frozen=True)
class Left:
    """What a training left in its folder."""

    folder: Path

    @property
    def history(self) -> dict[tuple[int, str], float]:
        entries = read_jsonl(self.folder / "history.jsonl")
        return {(entry["global_step"], entry["key"]): entry["value"] for entry in entries}

    @property
    def checkpoint(self) -> Checkpoint:
        return read_checkpoint(self.folder / "checkpoints" / "step-200.ckpt")


def job_of(folder: Path, seed: int, **changes: dict[str, Any]) -> Job:
    config = Config.from_plain(BASE | {"seed": seed, "paths": {"runs": str(folder)}} | changes)
    return Job.of(config, [])


def train_alone(folder: Path, **changes: dict[str, Any]) -> list[Left]:
    jobs = [job_of(folder, seed, **changes) for seed in SEEDS]
    for job in jobs:
        config = Config.from_plain(job.config)
        job.folder.mkdir(parents=True, exist_ok=True)
        train_model(job, config, build_task(config.data).read(), {})
    return [Left(job.folder) for job in jobs]


def train_at_once(folder: Path, **changes: dict[str, Any]) -> list[Left]:
    jobs = [job_of(folder, seed, **changes) for seed in SEEDS]
    for job in jobs:
        job.folder.mkdir(parents=True, exist_ok=True)
    train_replicas(jobs, build_task(Config.from_plain(jobs[0].config).data).read())
    return [Left(job.folder) for job in jobs]


def assert_alike(found: Any, wanted: Any, path: str = "") -> None:
    """Equal but for rounding, and for seconds."""
    assert type(found) is type(wanted), path
    if isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), path
        for key in wanted:
            assert_alike(found[key], wanted[key], f"{path}.{key}")
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted), path
        for index, each in enumerate(wanted):
            assert_alike(found[index], each, f"{path}[{index}]")
    elif isinstance(wanted, torch.Tensor):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-9, msg=lambda text: f"{path}: {text}")
    elif isinstance(wanted, float):
        assert "seconds" in path or "window" in path or found == pytest.approx(wanted, abs=1e-9), path
    else:
        assert found == wanted, path


def assert_same(found: list[Left], wanted: list[Left]) -> None:
    for ours, theirs in zip(found, wanted, strict=True):
        assert_alike(ours.history, theirs.history)
        assert_alike(ours.checkpoint.weights, theirs.checkpoint.weights)
        assert_alike(ours.checkpoint.training, theirs.checkpoint.training)
        seconds = ("second", "memory")
        timings, others = (read_json(each.folder / FITTED) for each in (ours, theirs))
        assert timings.pop("replicas") == list(SEEDS)
        assert timings.keys() == others.keys()
        assert_alike(
            *({k: v for k, v in each.items() if not any(s in k for s in seconds)} for each in (timings, others))
        )


@pytest.mark.slow
def test_seeds_at_once_are_each_what_they_are_alone(tmp_path: Path) -> None:
    assert_same(train_at_once(tmp_path / "at_once"), train_alone(tmp_path / "alone"))


@pytest.mark.very_slow
@pytest.mark.parametrize("variant", VARIANTS)
def test_variants_at_once_are_each_what_they_are_alone(tmp_path: Path, variant: str) -> None:
    changes = VARIANTS[variant]
    assert_same(train_at_once(tmp_path / "at_once", **changes), train_alone(tmp_path / "alone", **changes))


@pytest.mark.very_slow
@pytest.mark.parametrize(
    ("before", "after"),
    [(train_at_once, train_at_once), (train_at_once, train_alone), (train_alone, train_at_once)],
    ids=["at once", "at once, then alone", "alone, then at once"],
)
def test_either_road_goes_on_where_the_other_stopped(tmp_path: Path, before: Any, after: Any) -> None:
    whole = train_alone(tmp_path / "whole")
    for left in before(tmp_path / "parted"):  # as killed a moment before its last checkpoint
        (left.folder / FITTED).unlink()
        (left.folder / "checkpoints" / "step-200.ckpt").unlink()
    for ours, theirs in zip(after(tmp_path / "parted"), whole, strict=True):
        assert_alike(ours.checkpoint.weights, theirs.checkpoint.weights)
        assert_alike(ours.history, theirs.history)


@pytest.mark.slow
def test_each_run_is_finished_as_any_other(tmp_path: Path) -> None:
    trainer = BASE["trainer"] | {"max_steps": 4, "log_every": 2}
    jobs = [job_of(tmp_path, seed, trainer=trainer, checkpoint={}) for seed in SEEDS]
    scores = run_together(jobs)
    for job, its in zip(jobs, scores, strict=True):
        record = read_record(job.folder)
        assert record.status == "completed"
        assert record.seed == job.config["seed"]
        assert record.timings["replicas"] == list(SEEDS)
        assert record.parameters
        assert its.keys() == {"test"}
        assert run(job).keys() == {"test"}  # found, not repeated


def test_what_cannot_be_trained_at_once_is_refused(tmp_path: Path) -> None:
    jobs = [job_of(tmp_path, seed, optimizer={"name": "adam", "ema": 0.9}) for seed in SEEDS]
    with pytest.raises(ConfigurationError, match=r"optimizer\.ema=0\.9 has no form for replicas\. Leave replicas out"):
        run_together(jobs)
    assert not jobs[0].folder.exists()
