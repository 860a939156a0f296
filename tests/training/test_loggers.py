"""What trackers hold, read back by their own tools: configuration, curves, scores, and that they ended."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import wandb
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from seq2seq_lightning.config import Config
from seq2seq_lightning.decoding.beam import BeamConfig
from seq2seq_lightning.experiments.files import read_jsonl
from seq2seq_lightning.experiments.scores import read_all_scores
from seq2seq_lightning.job import Job
from seq2seq_lightning.run import run
from seq2seq_lightning.structure import to_plain
from seq2seq_lightning.training import module
from seq2seq_lightning.training.loggers import CSVLogger, HistoryLogger

PLAIN: dict[str, Any] = {
    "name": "tracked",
    "group": "some sweep",
    "data": {"name": "reverse", "train_size": 48, "val_size": 8, "test_size": 8, "symbols": 6, "batching": {"size": 8}},
    "model": {
        "encoder": {"embedding_size": 6, "hidden_size": 8},
        "decoder": {"embedding_size": 6, "hidden_size": 8},
    },
    "validation": {"every": 4, "metrics": ["bleu"], "monitor": "val/bleu"},
    "decoding": {"name": "greedy", "min_length": 3, "max_length": 8},  # so that there is attention to look at
    "trainer": {"max_steps": 8, "accelerator": "cpu", "log_every": 2},
}


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Job]:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")

    def make(logger: str, **options: Any) -> Job:
        plain = {**PLAIN, "logger": {"name": logger, **options}, "paths": {"runs": str(tmp_path)}}
        return Job.of(Config.from_plain(plain), ["model/cell=gru", "seed=1"])

    return make


def curves(made: Job) -> dict[str, list[tuple[int, float]]]:
    """The history by key."""
    found: dict[str, list[tuple[int, float]]] = {}
    for entry in read_jsonl(made.folder / "history.jsonl"):
        found.setdefault(entry["key"], []).append((entry["global_step"], entry["value"]))
    return found


def test_the_history_has_every_entry_under_its_update(job: Callable[..., Job]) -> None:
    made = job("none")
    run(made)
    found = curves(made)
    assert [step for step, _ in found["train/loss"]] == [2, 4, 6, 8]
    assert [step for step, _ in found["val/bleu"]] == [4, 8]
    train = {"loss", "ratio", "fed_back", "passes", "learning_rate", "gradient_norm"}
    train |= {f"gradient_norm/{part}" for part in ("encoder", "bridge", "attention", "decoder", "output_layer")}
    val = {"loss", "perplexity", "teacher_forced_accuracy", "free_running_loss", "bleu"}
    val |= {"length_ratio", "repetition_rate", "reference_repetition_rate", "unfinished"}
    assert found.keys() == {f"train/{key}" for key in train} | {f"val/{key}" for key in val}


def test_csv_has_the_same_entries(job: Callable[..., Job]) -> None:
    made = job("csv")
    run(made)
    with (made.folder / "history.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["global_step", "key", "value"]
    written = [(int(step), key, float(value)) for step, key, value in rows]
    entries = read_jsonl(made.folder / "history.jsonl")
    assert written == [(entry["global_step"], entry["key"], entry["value"]) for entry in entries]


@pytest.mark.parametrize("logger", [HistoryLogger, CSVLogger])
def test_files_are_rewound_to_the_checkpoint(logger: Any, tmp_path: Path) -> None:
    writer = logger(tmp_path)
    writer.rewind(3)  # before anything is written
    for step in (1, 2, 3):
        writer.log_metrics({"train/loss": 1 / step}, step)
    before = writer.path.read_bytes()
    writer.log_metrics({"train/loss": 0.25, "val/loss": 0.5}, 4)
    with writer.path.open("ab") as file:
        file.write(before.splitlines()[-1][:7])  # killed in the middle of a line
    writer.rewind(3)
    assert writer.path.read_text().split() == before.decode().split()


def test_tensorboard_has_the_same_curves(job: Callable[..., Job]) -> None:
    made = job("tensorboard")
    run(made)
    events = EventAccumulator(str(made.folder / "tensorboard"))
    events.Reload()
    found = curves(made)
    assert set(found) <= set(events.Tags()["scalars"])
    for key, points in found.items():
        seen = [(event.step, event.value) for event in events.Scalars(key)]
        assert [step for step, _ in seen] == [step for step, _ in points]
        assert [value for _, value in seen] == pytest.approx([value for _, value in points], rel=1e-6)


def _told(config: dict[str, Any]) -> dict[str, Any]:
    """A configuration as W&B keeps it: without empty dicts."""
    plain = {key: _told(value) if isinstance(value, dict) else value for key, value in config.items()}
    return {key: value for key, value in plain.items() if value != {}}


def inspect(made: Job) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The offline run of a training, read by W&B's own command: summary, and the records."""
    return inspect_run(made, made.fingerprint)


def inspect_run(made: Job, id_: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The one whose id matches."""
    (folder,) = (made.folder / "wandb").glob(f"offline-run-*-{id_}")
    command = [str(Path(sys.executable).parent / "wandb"), "leet", "inspect", "--json"]
    summary = subprocess.run([*command, "--summary", str(folder)], capture_output=True, text=True, check=True)
    records = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=True)
    return json.loads(summary.stdout), [json.loads(line) for line in records.stdout.splitlines()]


def test_wandb_holds_config_curves_scores_and_samples(job: Callable[..., Job]) -> None:
    made = job("wandb", samples=3, tags=["mine"], checkpoint=True)
    run(made)
    assert wandb.run is None
    summary, records = inspect(made)
    assert (summary["state"], summary["exit_code"], summary["run_id"]) == ("finished", 0, made.fingerprint)
    assert (summary["name"], summary["project"]) == ("tracked", "seq2seq_lightning")
    assert summary["tags"] == ["mine", "model/cell=gru", "seed=1"]
    assert {key: value for key, value in summary["config"].items() if key != "_wandb"} == _told(made.config)
    told = next(record["run"] for record in records if record["type"] == "run")
    assert (told["job_type"], told["run_group"]) == ("train", "some sweep")
    found = curves(made)
    points = [record["history"]["item"] for record in records if record["type"] == "history"]
    for key, values in found.items():
        seen = [(point["trainer/global_step"], point[key]) for point in points if key in point]
        assert [step for step, _ in seen] == [step for step, _ in values]
        assert [value for _, value in seen] == pytest.approx([value for _, value in values])
    assert summary["summary"]["val/bleu"] == {"max": pytest.approx(max(value for _, value in found["val/bleu"]))}
    (scores,) = read_all_scores(made.folder).values()
    for name, score in scores.scores.items():
        assert summary["summary"][f"test/{name}"] == pytest.approx(score.value)
    samples = summary["summary"]["samples/test"]
    assert (samples["nrows"], samples["ncols"]) == (3, 3)
    assert summary["summary"]["attention/test"]["count"] > 0
    assert [record for record in records if record["type"] == "artifact"]


@pytest.mark.slow
def test_a_later_decoding_is_a_run_of_its_own_in_the_same_group(job: Callable[..., Job]) -> None:
    made = job("wandb", samples=2)
    run(made)
    run(made)  # finished: nothing more is tracked
    beam = to_plain(BeamConfig(beam_width=2))
    later = replace(made, config=made.config | {"decoding": beam}, overrides=["decoding=beam"], train=False)
    run(later)
    assert wandb.run is None
    assert len(list((made.folder / "wandb").glob("offline-run-*"))) == 2
    summary, records = inspect_run(made, f"{made.fingerprint}-????????")
    told = next(record["run"] for record in records if record["type"] == "run")
    assert (told["job_type"], told["run_group"]) == ("evaluate", "some sweep")
    assert (summary["name"], summary["tags"], summary["exit_code"]) == ("tracked beam", ["decoding=beam"], 0)
    assert summary["config"]["decoding"]["beam_width"] == 2
    (scores,) = [each for each in read_all_scores(made.folder).values() if each.decoding_name == "beam"]
    assert summary["summary"]["test/bleu"] == pytest.approx(scores.scores["bleu"].value)
    assert summary["summary"]["samples/test"]["nrows"] == 2
    assert inspect(made)[0]["summary"].keys() >= {"val/bleu"}


@pytest.mark.slow
def test_wandb_is_finished_after_a_failure_too(job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Any, *arguments: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(module.TrainingModule, "on_validation_epoch_end", fail)
    made = job("wandb")
    with pytest.raises(RuntimeError, match="out of luck"):
        run(made)
    assert wandb.run is None
    summary, _ = inspect(made)
    assert summary["exit_code"] == 1
