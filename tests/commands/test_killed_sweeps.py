"""Whatever is killed of a sweep, the same command ends with every trial once: none lost, none done twice."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from seq2seq_lightning.experiments.ledger import State, all_runs, is_busy
from tests.terminal import PATIENCE, SMALL, finish, seq2seq, start, updates_logged, wait_for

pytestmark = [pytest.mark.timeout(3600), pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")]

UPDATES = 150
TRIALS = ["name=killed", *SMALL, f"trainer.max_steps={UPDATES}", "checkpoint.every=20"]
RAY = ["hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2", "+hydra.launcher.ray.init.include_dashboard=false"]
LAUNCHERS = {
    "basic": [],
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "ray": RAY,
    "submitit_local": ["hydra/launcher=submitit_local"],
}
PLUGIN = {"joblib": "joblib", "ray": "ray", "submitit_local": "submitit"}


@pytest.fixture(autouse=True)
def ray_may_start_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_raylet_start_wait_time_s", "300")


def needs(launcher: str) -> None:
    if launcher in PLUGIN:
        pytest.importorskip(f"hydra_plugins.hydra_{PLUGIN[launcher]}_launcher")
        pytest.importorskip(PLUGIN[launcher])


def commands_below(process: int) -> dict[int, str]:
    """The command line of every process that this one has started, whatever started it in turn."""
    parents, found = {}, {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(path.name)] = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
    below = {process}
    while more := {child for child, parent in parents.items() if parent in below} - below:
        below |= more
    return {child: found[child] for child in below - {process} if child in found}


def victims(process: int, words: str) -> list[int]:
    return [number for number, command in commands_below(process).items() if words in command]


def kill_one(sweep: subprocess.Popen[str], words: str | None, moment: random.Random, training_in: Path | None) -> None:
    """Kill the sweep itself, or some process below it whose command holds these words.

    Some seconds after it appeared, while jobs start; or after some updates of a training in this folder.
    """
    wait_for(sweep, lambda: bool(victims(sweep.pid, words or "seq2seq_lightning.worker")))
    if training_in is None:
        time.sleep(moment.uniform(0.0, 4.0))
    else:
        updates = moment.randrange(UPDATES)
        wait_for(sweep, lambda: updates_logged(training_in) >= updates)
    found = [sweep.pid] if words is None else victims(sweep.pid, words)
    if found:
        try:
            os.kill(moment.choice(found), signal.SIGKILL)
        except ProcessLookupError:
            return


def check_every_trial_is_there_once(folder: Path, seeds: int, updates: int = UPDATES) -> None:
    runs = list(all_runs(folder / "runs"))
    assert [run.state for run in runs] == [State.finished] * seeds
    assert len({run.record.seed for run in runs if run.record}) == seeds
    for run in runs:
        rows = [json.loads(line) for line in (run.run_dir / "history.jsonl").read_text().splitlines()]
        steps = [row["global_step"] for row in rows if row["key"] == "train/loss"]
        assert steps == list(range(1, updates + 1))
        assert len(list((run.run_dir / "decodings").glob("*/scores.json"))) == 1
        assert not is_busy(run.run_dir)


KILLS = [
    ("basic", None),
    ("basic", "seq2seq_lightning.worker"),
    ("joblib", None),
    ("joblib", "loky"),
    ("joblib", "seq2seq_lightning.worker"),
    ("ray", None),
    ("ray", "ray::_run_job"),
    ("ray", "seq2seq_lightning.worker"),
    ("submitit_local", "submitit"),
]


@pytest.mark.very_slow
@pytest.mark.parametrize("stage", ["starting", "training"])
@pytest.mark.parametrize(("launcher", "words"), KILLS, ids=lambda each: str(each).rpartition(".")[2].replace(":", ""))
def test_the_same_command_completes_what_was_killed(
    launcher: str, words: str | None, stage: str, tmp_path: Path
) -> None:
    needs(launcher)
    moment = random.Random(f"{launcher} {words} {stage}")
    seeds = 3 if launcher in ("joblib", "ray") else 2  # one more than run at once, which waits in the launcher
    arguments = ["-m", *LAUNCHERS[launcher], *TRIALS, f"seed=range(1,{seeds + 1})"]
    sweep = start("train", arguments, tmp_path)
    kill_one(sweep, words, moment, tmp_path if stage == "training" else None)
    finish(sweep)  # however it ends
    ended = seq2seq("train", *arguments, folder=tmp_path)
    check_every_trial_is_there_once(tmp_path, seeds)
    assert "waiting" not in ended.err or words != "seq2seq_lightning.worker"  # a killed worker leaves nobody at work


@pytest.mark.very_slow
def test_two_commands_share_a_sweep_of_which_one_is_killed(tmp_path: Path) -> None:
    """Both pass over what the other is at; what the killed one leaves is completed by the other."""
    arguments = ["-m", *TRIALS, "trainer.max_steps=20", "seed=1,2"]
    sweeps = [start("train", arguments, tmp_path) for _ in range(2)]
    until = time.monotonic() + PATIENCE
    while not all(victims(sweep.pid, "seq2seq_lightning.worker") for sweep in sweeps):
        assert time.monotonic() < until and all(sweep.poll() is None for sweep in sweeps), [*map(finish, sweeps)]
        time.sleep(0.02)
    for worker in victims(sweeps[0].pid, "seq2seq_lightning.worker"):
        os.kill(worker, signal.SIGKILL)
    sweeps[0].kill()
    finish(sweeps[0])
    assert finish(sweeps[1]).status == 0
    check_every_trial_is_there_once(tmp_path, seeds=2, updates=20)


@pytest.mark.very_slow
@pytest.mark.parametrize("launcher", [name for name in LAUNCHERS if name != "basic"])
def test_every_launcher_runs_a_sweep_and_finds_it_done(launcher: str, tmp_path: Path) -> None:
    needs(launcher)
    arguments = ["-m", *LAUNCHERS[launcher], *TRIALS, "seed=1,2"]
    seq2seq("train", *arguments, folder=tmp_path)
    check_every_trial_is_there_once(tmp_path, seeds=2)
    assert "2 of 2 jobs were finished before" in seq2seq("train", *arguments, folder=tmp_path).out


@pytest.mark.very_slow
def test_a_search_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    search = ["hydra/sweeper=optuna", "optimizer.learning_rate=interval(0.001,0.1)", "model/cell=gru,lstm"]
    arguments = ["-m", *TRIALS, *search, "hydra.sweeper.n_trials=3"]
    sweep = start("train", arguments, tmp_path)
    kill_one(sweep, None, random.Random(1), tmp_path)
    finish(sweep)
    (stored,) = (tmp_path / "runs" / "killed").glob("proposals-*.jsonl")
    before = stored.read_text()
    ended = seq2seq("train", *arguments, folder=tmp_path)
    assert stored.read_text().startswith(before) and len(stored.read_text().splitlines()) == 3
    assert "best of 3 proposals: val/loss " in ended.out
    assert [run.state for run in all_runs(tmp_path / "runs")] == [State.finished] * 3
