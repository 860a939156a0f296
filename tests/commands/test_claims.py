"""Commands on one folder share its trainings: each is claimed by one, and a claim ends with all who hold it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus

from seq2seq_lightning.commands import claims, sweeps
from seq2seq_lightning.commands.application import JobFailed
from seq2seq_lightning.commands.claims import JobElsewhere, claiming, wait_for_one
from seq2seq_lightning.commands.sweeps import launch_sweep, plan_sweep
from seq2seq_lightning.config import Config, PathsConfig
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.files import lock
from seq2seq_lightning.experiments.ledger import State, find_run, is_busy, lock_path, state_of
from seq2seq_lightning.job import Job


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job.of(Config(paths=PathsConfig(str(tmp_path))), ["seed=1"])


def test_a_training_is_claimed_once(job: Job) -> None:
    with claiming(job):
        with pytest.raises(JobElsewhere, match="in use by process"), claiming(job):
            pass
        assert state_of(job.folder).state is State.running
    with claiming(job):
        pass
    assert not is_busy(job.folder)


def test_a_claimed_training_is_found_before_it_has_a_record(job: Job, tmp_path: Path) -> None:
    assert find_run(job.fingerprint, [tmp_path]) is None
    with claiming(job):
        found = find_run(job.fingerprint, [tmp_path])
        assert found is not None and found.state is State.running
    assert find_run(job.fingerprint, [tmp_path]) is None


def test_a_worker_alone_counts_as_somebody_at_work(job: Job) -> None:
    with lock(lock_path(job.folder)), pytest.raises(JobElsewhere, match="in use by another process"), claiming(job):
        pass


def test_decodings_of_one_run_go_on_side_by_side(job: Job) -> None:
    evaluation = replace(job, train=False)
    with claiming(job), claiming(evaluation) as inherited:
        assert inherited == ()


def test_a_child_that_outlives_its_parent_still_holds_the_claim(job: Job) -> None:
    """As a worker does whose sweep was killed."""
    with claiming(job) as inherited:
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=inherited)
    assert is_busy(job.folder)
    child.communicate(b"\n")
    assert not is_busy(job.folder)


def test_one_of_several_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def busy(folder: Path) -> bool:
        asked.append(folder)
        return len(asked) < 4

    monkeypatch.setattr(claims, "is_busy", busy)
    wait_for_one([Path("a"), Path("b")], seconds=0.0)
    assert [str(path) for path in asked] == ["a", "b", "a", "b"]
    wait_for_one([])


class Launcher:
    """Finds seed 1 at work elsewhere the first so many times."""

    def __init__(self, busy: int) -> None:
        self.busy = busy
        self.launches: list[tuple[list[list[str]], int]] = []

    def launch(self, jobs: list[list[str]], initial_job_idx: int) -> list[JobReturn]:
        self.launches.append((jobs, initial_job_idx))
        return [self.answer(job) for job in jobs]

    def answer(self, job: list[str]) -> JobReturn:
        elsewhere = job == ["seed=1"] and len(self.launches) <= self.busy
        result = JobReturn(overrides=job, status=JobStatus.FAILED if elsewhere else JobStatus.COMPLETED)
        result.return_value = JobElsewhere("busy") if elsewhere else 1.0
        return result


def jobs_of(folder: Path) -> Any:
    return lambda overrides: Job.of(
        Config(paths=PathsConfig(str(folder)), seed=int(overrides[0].removeprefix("seed="))), list(overrides)
    )


def test_what_runs_elsewhere_is_looked_at_again_when_it_ended(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [["seed=1"], ["seed=2"]]
    launcher = Launcher(busy=2)
    answers = iter([True, False])  # at work when first looked at, then gone
    monkeypatch.setattr(sweeps, "is_busy", lambda folder: next(answers, False))
    returns = launch_sweep(plan_sweep(listed, jobs_of(tmp_path)), listed, launcher)
    assert launcher.launches == [(listed, 0), ([["seed=1"]], 2), ([["seed=1"]], 3)]
    assert [answer.overrides for answer in returns] == listed
    assert capsys.readouterr().err.count("waiting for 1 job that another command is running: seed=1") == 1


class Broken:
    """Loses a process of its own: no job is answered."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def launch(self, jobs: list[list[str]], initial_job_idx: int) -> list[JobReturn]:
        raise self.error


def test_a_launcher_that_breaks_down_is_told_in_one_message(tmp_path: Path) -> None:
    listed = [["seed=1"], ["seed=2"]]
    plan = plan_sweep(listed, jobs_of(tmp_path))
    with pytest.raises(JobFailed) as caught:
        launch_sweep(plan, listed, Broken(RuntimeError("a worker\nwas killed")))
    assert str(caught.value).splitlines() == [
        "2 of 2 jobs",
        "the launcher broke down: a worker was killed (RuntimeError). What it had started may still run: the same "
        "command waits for it, and runs what is missing.",
    ]
    with pytest.raises(ConfigurationError, match="bad"):
        launch_sweep(plan, listed, Broken(ConfigurationError("bad")))
