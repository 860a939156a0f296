"""All jobs of a sweep are checked before the first; what is finished is skipped; decodings follow their training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus

from seq2seq_lightning.commands import sweeps
from seq2seq_lightning.commands.application import JobFailed
from seq2seq_lightning.commands.sweeps import Plan, launch_sweep, plan_sweep
from seq2seq_lightning.config import Config, PathsConfig
from seq2seq_lightning.decoding import BeamConfig
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.job import Job
from seq2seq_lightning.metrics import MetricsConfig

LISTED = [["seed=1"], ["seed=1", "beam"], ["seed=2", "beam"], ["seed=2"], ["seed=3"], ["seed=1"]]


@pytest.fixture
def compose(tmp_path: Path) -> Any:
    def make(overrides: Sequence[str]) -> Job:
        config = Config(paths=PathsConfig(str(tmp_path)))
        for each in overrides:
            if each == "beam":
                config = replace(config, decoding=BeamConfig())
            elif each == "bleu":
                config = replace(config, metrics=MetricsConfig(report=["bleu"]))
            elif each == "fresh=true":
                config = replace(config, fresh=True)
            elif each == "bad":
                raise ConfigurationError("bad is bad.")
            else:
                config = replace(config, seed=int(each.removeprefix("seed=")))
        return Job.of(config, list(overrides))

    return make


def test_each_training_is_launched_once_and_its_decodings_later(compose: Any) -> None:
    plan = plan_sweep(LISTED, compose)
    assert (plan.first, plan.later, plan.done) == ([0, 2, 4], [1, 3, 5], [])
    assert [job.overrides for job in plan.jobs] == LISTED


def test_what_is_finished_is_skipped(compose: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "is_done", lambda job: job.config["seed"] == 2)
    plan = plan_sweep(LISTED, compose)
    assert (plan.first, plan.later, plan.done) == ([0, 4], [1, 5], [2, 3])


def test_all_problems_are_told_before_anything_is_launched(compose: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        plan_sweep([["seed=1"], ["seed=1", "bad"], ["seed=2", "bad"]], compose)
    assert str(caught.value).splitlines() == ["seed=1 bad: bad is bad.", "seed=2 bad: bad is bad."]


@dataclass
class Launcher:
    """Answers as Hydra's do; jobs that hold `fails` fail."""

    fails: str = "nothing"

    def __post_init__(self) -> None:
        self.waves: list[tuple[list[list[str]], int]] = []

    def launch(self, jobs: list[list[str]], initial_job_idx: int) -> list[JobReturn]:
        self.waves.append((jobs, initial_job_idx))
        return [self.answer(job) for job in jobs]

    def answer(self, job: list[str]) -> JobReturn:
        failed = self.fails in job
        result = JobReturn(overrides=job, status=JobStatus.FAILED if failed else JobStatus.COMPLETED)
        result.return_value = JobFailed(f"{' '.join(job)} failed: why") if failed else 1.0
        return result


@pytest.fixture
def plan(compose: Any) -> Plan:
    return plan_sweep(LISTED, compose)


def test_decodings_of_one_training_are_one_job(plan: Plan) -> None:
    launcher = Launcher()
    returns = launch_sweep(plan, LISTED, launcher)
    beam, greedy = "+decodings=[{name:beam}]", "+decodings=[{name:greedy}]"
    assert launcher.waves == [([[*LISTED[0], beam], [*LISTED[2], greedy], LISTED[4]], 0)]
    assert len(returns) == 3


def test_what_is_scored_otherwise_is_a_job_of_its_own_behind_the_training(compose: Any) -> None:
    listed = [["seed=1"], ["seed=1", "bleu"], ["seed=1", "bleu", "beam"]]
    launcher = Launcher()
    launch_sweep(plan_sweep(listed, compose), listed, launcher)
    assert launcher.waves == [([listed[0]], 0), ([[*listed[1], "+decodings=[{name:beam}]"]], 1)]


def test_fresh_trains_each_fingerprint_once(compose: Any) -> None:
    """What only decodes must not train again: the first wave has, so `fresh` is taken from the second."""
    listed = [["seed=1", "fresh=true"], ["seed=1", "bleu", "fresh=true"]]
    launcher = Launcher()
    launch_sweep(plan_sweep(listed, compose), listed, launcher)
    assert launcher.waves == [([listed[0]], 0), ([["seed=1", "bleu", "fresh=false"]], 1)]


def test_a_failure_stops_nothing_and_is_told_at_the_end(compose: Any) -> None:
    listed = [["seed=3"], ["seed=3", "beam"], ["seed=1"], ["seed=1", "bleu"]]
    launcher = Launcher(fails="seed=3")
    with pytest.raises(JobFailed) as caught:
        launch_sweep(plan_sweep(listed, compose), listed, launcher)
    assert len(launcher.waves) == 2
    assert str(caught.value).splitlines() == ["2 of 4 jobs", "seed=3 +decodings=[{name:beam}] failed: why"]


def test_nothing_is_launched_when_all_is_done(plan: Plan, capsys: pytest.CaptureFixture[str]) -> None:
    launcher = Launcher()
    assert launch_sweep(Plan([], [], [0, 1, 2, 3, 4, 5], plan.jobs), LISTED, launcher) == []
    assert launcher.waves == []
    assert capsys.readouterr().out == "6 of 6 jobs were finished before\n"
