"""Runs and sweeps as a user starts them: real processes that are stopped, killed, repeated, and run side by side."""

from __future__ import annotations

import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from seq2seq_lightning.commands.processes import LOG
from seq2seq_lightning.config import Config
from seq2seq_lightning.experiments.files import read_json, read_jsonl
from seq2seq_lightning.experiments.ledger import State, all_runs, state_of
from seq2seq_lightning.experiments.record import read_record
from seq2seq_lightning.job import Job
from seq2seq_lightning.run import run
from seq2seq_lightning.training.checkpoints import read_checkpoint
from tests.bits import assert_same_run
from tests.terminal import SMALL, Ended, finish, only_run, seq2seq, start, stop, updates_logged, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# carries states of every kind, as in test_resume; long enough to be interrupted three times
LONG = [
    *SMALL,
    "model.encoder.layers=2",
    "model.encoder.dropout.embedding=0.3",
    "model.encoder.dropout.layers=0.3",
    "model.decoder.dropout.output=0.3",
    "teacher_forcing.ratio=0.5",
    "learning_rate=plateau",
    "learning_rate.patience=0",
    "validation.every=40",
    "validation.monitor=val/exact_match",
    "checkpoint.every=20",
    "checkpoint.after_scoring=keep_all",
    "trainer.max_steps=280",
]


def again(run_dir: Path, runs: Path) -> Path:
    """The same configuration, undisturbed, in this process."""
    plain = read_record(run_dir).config
    job = Job.of(Config.from_plain({**plain, "paths": {"runs": str(runs)}}), [])
    run(job)
    assert job.fingerprint == run_dir.name
    return job.folder


def history(run_dir: Path) -> dict[tuple[int, str], float]:
    return {(entry["global_step"], entry["key"]): entry["value"] for entry in read_jsonl(run_dir / "history.jsonl")}


def furthest(one: Path, other: Path, updates: int) -> float:
    """The largest difference between two histories over the first updates."""
    a, b = history(one), history(other)
    assert a.keys() == b.keys()
    assert len({step for step, key in a if key == "train/loss" and step <= updates}) == updates
    return max(abs(a[key] - b[key]) for key in a if key[0] <= updates)


# -- one run, stopped and killed ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Ended], list[str]]:
    """One run, stopped from the keyboard, killed, terminated, and completed, all by the same command."""
    folder = tmp_path_factory.mktemp("disturbed")
    endings, states = [], []
    for number, step in ((signal.SIGINT, 30), (signal.SIGKILL, 110), (signal.SIGTERM, 190)):
        process = start("train", LONG, folder)
        endings.append(stop(process, number, lambda step=step: updates_logged(folder) >= step))  # type: ignore[misc]
        states.append(state_of(only_run(folder)).state.value)
    endings.append(seq2seq("train", *LONG, folder=folder))
    return only_run(folder), endings, states


def test_every_ending_has_its_status_and_its_word(disturbed: tuple[Path, list[Ended], list[str]]) -> None:
    _, endings, states = disturbed
    assert [ended.status for ended in endings] == [130, -signal.SIGKILL, 143, 0]
    assert states == ["interrupted", "interrupted", "interrupted"]
    for ended in (endings[0], endings[2]):
        assert re.fullmatch(
            r"interrupted: stopped by SIG\w+ after saving a checkpoint; the same command continues\.\n", ended.err
        )
    assert endings[3].err == ""


def test_a_run_that_was_stopped_and_killed_has_the_bits_of_an_undisturbed_one(
    disturbed: tuple[Path, list[Ended], list[str]], tmp_path: Path
) -> None:
    undisturbed = again(disturbed[0], tmp_path)
    assert_same_run(disturbed[0], undisturbed)
    steps = [step for step, key in history(undisturbed) if key == "train/loss"]
    assert steps == list(range(1, 281))


def test_the_record_tells_how_the_run_came_about(disturbed: tuple[Path, list[Ended], list[str]]) -> None:
    record = read_record(disturbed[0])
    assert (record.status, record.error, record.seed, record.threads) == ("completed", None, 1, 1)
    assert record.overrides == LONG
    assert record.fingerprint == disturbed[0].name
    assert record.versions.keys() >= {"python", "torch", "lightning", "sacrebleu"}
    assert record.data["sizes"] == {"train": 200, "val": 20, "test.test": 20}
    assert record.timings["updates"] == 280
    checkpoint = read_checkpoint(disturbed[0] / "checkpoints" / "step-280.ckpt")
    learnt = sum(tensor.numel() for name, tensor in checkpoint.weights.items())
    assert record.parameters == learnt
    assert record.mechanism == "stepwise"


def test_the_report_names_the_run_and_its_scores(disturbed: tuple[Path, list[Ended], list[str]]) -> None:
    run_dir, endings, _ = disturbed
    first, *lines = endings[-1].out.splitlines()
    assert first == f"run {run_dir.relative_to(run_dir.parents[2])}"
    assert any(
        re.fullmatch(r"  test/bleu [\d.]+  \(n=20, nrefs:1\|case:mixed\|.*version:2\.\S+\)", line) for line in lines
    )


def test_the_same_command_again_trains_nothing(disturbed: tuple[Path, list[Ended], list[str]]) -> None:
    run_dir, endings, _ = disturbed
    before = {
        path: path.stat().st_mtime_ns for path in run_dir.rglob("*.*") if path.suffix in (".ckpt", ".json", ".jsonl")
    }
    ended = seq2seq("train", *LONG, folder=run_dir.parents[2])
    assert ended.out == f"finished before; fresh=true trains again\n{endings[-1].out}"
    for path, stamp in before.items():
        assert path.stat().st_mtime_ns == stamp or path.parent.name == "jobs", path


def test_fresh_trains_again_and_gives_the_same_bits(tmp_path: Path) -> None:
    settings = [*SMALL, "trainer.max_steps=20", "checkpoint.after_scoring=keep_all"]
    seq2seq("train", *settings, folder=tmp_path)
    run_dir = only_run(tmp_path)
    kept = run_dir.rename(tmp_path / "kept")
    seq2seq("train", *settings, "fresh=true", folder=tmp_path)
    assert read_record(run_dir).started != read_record(kept).started
    assert_same_run(run_dir, kept)


def test_two_commands_at_once_train_once(tmp_path: Path) -> None:
    settings = [*SMALL, "trainer.max_steps=150"]
    processes = [start("train", settings, tmp_path) for _ in range(2)]
    endings = [finish(process) for process in processes]
    assert [ended.status for ended in endings] == [0, 0]
    assert endings[0].out.splitlines()[-6:] == endings[1].out.splitlines()[-6:]
    steps = [step for step, key in history(only_run(tmp_path)) if key == "train/loss"]
    assert steps == list(range(1, 151))
    entries = read_jsonl(only_run(tmp_path) / "history.jsonl")
    assert len(entries) == len({(entry["global_step"], entry["key"]) for entry in entries})


# -- devices -----------------------------------------------------------------------------------------------------------

COINS = [*SMALL, "teacher_forcing.ratio=0.5", "validation.every=15"]


def test_two_devices_stopped_and_resumed_equal_one(tmp_path: Path) -> None:
    settings = [*COINS, "trainer.precision=64-true", "trainer.max_steps=150", "trainer.devices=2"]
    settings += ["optimizer.ema=0.95", "validation.diagnostics=true", "learning_rate=halve_after"]
    process = start("train", settings, tmp_path)
    ended = stop(process, signal.SIGTERM, lambda: updates_logged(tmp_path) >= 60)
    assert ended.status == 143, ended
    run_dir = only_run(tmp_path)
    assert state_of(run_dir).state is State.interrupted
    assert 60 <= max(step for step, _ in history(run_dir)) < 150
    seq2seq("train", *settings, folder=tmp_path)
    config = read_record(run_dir).config
    config["trainer"]["devices"] = 1
    alone = Job.of(Config.from_plain({**config, "paths": {"runs": str(tmp_path / "alone")}}), [])
    run(alone)
    assert alone.fingerprint == run_dir.name  # devices are no part of what names a training
    assert furthest(run_dir, alone.folder, updates=150) < 1e-9


def test_two_devices_in_a_sweep_equal_one(tmp_path: Path) -> None:
    settings = [*COINS, "trainer.max_steps=30", "trainer.devices=2"]
    seq2seq("train", "-m", *settings, folder=tmp_path)
    run_dir = only_run(tmp_path)
    config = read_record(run_dir).config
    config["trainer"]["devices"] = 1
    alone = Job.of(Config.from_plain({**config, "paths": {"runs": str(tmp_path / "alone")}}), [])
    run(alone)
    assert 0 < furthest(run_dir, alone.folder, updates=30) < 1e-3


@pytest.mark.very_slow
def test_two_devices_train_again_with_fresh(tmp_path: Path) -> None:
    """The first one clears the directory; the other must not take what it still sees there for a finished run."""
    settings = [*COINS, "trainer.max_steps=5", "trainer.devices=2", "checkpoint.after_scoring=keep_all"]
    seq2seq("train", *settings, folder=tmp_path)
    run_dir = only_run(tmp_path)
    before = read_record(run_dir).started
    kept = run_dir.rename(tmp_path / "kept")
    shutil.copytree(kept, run_dir)
    seq2seq("train", *settings, "fresh=true", folder=tmp_path)
    assert read_record(run_dir).started != before
    assert furthest(run_dir, kept, updates=5) < 1e-3


# -- sweeps ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def corpus(tmp_path: Path) -> list[str]:
    """Line-aligned files, of which one lacks a line: that is found by the worker, not by the check before."""
    (tmp_path / "en").write_text("a red house\na blue car\nthe house\na car\n" * 5)
    (tmp_path / "fr").write_text("maison rouge une\nvoiture bleue une\nmaison la\nvoiture une\n" * 5)
    (tmp_path / "short").write_text("maison rouge une\n")
    model = [each for each in SMALL if not each.startswith("data.")]
    files = ["data=parallel", "data.train.source=en", "data.train.target=fr", "data.test.here.source=en"]
    return [*files, *model, "data.batching.size=4", "trainer.max_steps=10"]


def test_a_job_that_fails_stops_no_other_and_only_it_is_repeated(tmp_path: Path, corpus: list[str]) -> None:
    sweep = ["-m", *corpus, "data.test.here.target=fr,short", "decoding=greedy,beam"]
    ended = seq2seq("train", *sweep, folder=tmp_path, status=1)
    lines = ended.err.splitlines()
    (told,) = (number for number, line in enumerate(lines) if line == "failed: 2 of 4 jobs")
    assert [line.split(" ")[0] for line in lines[told + 1 :]] == ["data=parallel"]  # both decodings are one job
    assert all("was refused: en has 20 lines but short has 1" in line for line in lines[told + 1 :])
    finished = [each for each in all_runs(tmp_path / "runs") if each.state is State.finished]
    (good,) = finished
    assert sorted(path.name.split("-")[0] for path in (good.run_dir / "decodings").iterdir()) == ["beam", "greedy"]
    record, log = (good.run_dir / "record.json").read_bytes(), (good.run_dir / LOG).read_bytes()

    ended = seq2seq("train", *sweep, folder=tmp_path, status=1)
    assert "2 of 4 jobs were finished before" in ended.out
    assert (good.run_dir / "record.json").read_bytes() == record
    assert (good.run_dir / LOG).read_bytes() == log


@pytest.mark.very_slow  # tests/commands/test_killed_sweeps.py does this with every launcher
def test_a_job_that_is_killed_stops_no_other_and_continues_when_repeated(tmp_path: Path) -> None:
    sweep = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *SMALL, "trainer.max_steps=400", "seed=1,2"]
    sweep += ["checkpoint.every=20", "checkpoint.after_scoring=keep_all"]
    process = start("train", sweep, tmp_path)
    wait_for(process, lambda: updates_logged(tmp_path) >= 30)
    victim = next(path.parent for path in tmp_path.rglob("history.jsonl") if updates_logged(path.parent) >= 30)
    words = (victim / "run.lock").read_text().split(" ")
    assert words[0] == "process"
    os.kill(int(words[1]), signal.SIGKILL)
    ended = finish(process)
    assert ended.status == 1
    assert "failed: 1 of 2 jobs" in ended.err
    assert state_of(victim).state is State.interrupted
    (other,) = (each for each in all_runs(tmp_path / "runs") if each.run_dir != victim)
    assert other.state is State.finished

    ended = seq2seq("train", *sweep, folder=tmp_path)
    assert "1 of 2 jobs were finished before" in ended.out
    assert_same_run(victim, again(victim, tmp_path / "alone"))


@pytest.mark.very_slow
def test_jobs_of_a_sweep_share_the_cores(tmp_path: Path) -> None:
    """Without a number of threads two jobs at once get half of the cores each, at least one."""
    small = [each for each in SMALL if not each.startswith("trainer.threads")]
    sweep = ["-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=99", *small, "trainer.max_steps=2"]
    seq2seq("train", *sweep, folder=tmp_path)
    assert read_record(only_run(tmp_path)).threads == 1
    assert read_json(next((only_run(tmp_path) / "jobs").iterdir()))["config"]["trainer"]["threads"] == 1
