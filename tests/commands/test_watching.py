"""What is shown of a sweep while it runs: every job counts, also one that only decodes, and only its own ending."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from seq2seq_lightning.commands import processes
from seq2seq_lightning.commands.application import JobFailed
from seq2seq_lightning.commands.processes import run_if_missing
from seq2seq_lightning.commands.watching import _Watcher
from seq2seq_lightning.config import Config, PathsConfig
from seq2seq_lightning.decoding import BeamConfig, GreedyConfig
from seq2seq_lightning.job import Job


def jobs(folder: Path) -> dict[str, Job]:
    """A training, a decoding of the same run, and a training of its own."""
    chosen = {"greedy": (1, GreedyConfig()), "beam": (1, BeamConfig()), "other": (2, GreedyConfig())}
    paths = PathsConfig(str(folder))
    return {
        name: Job.of(Config(seed=seed, decoding=decoding, paths=paths), [name])
        for name, (seed, decoding) in chosen.items()
    }


class Seen(_Watcher):
    """A watcher with its terminal at hand."""

    def __init__(self, watched: list[tuple[Job, str]]) -> None:
        self.text = io.StringIO()
        super().__init__(watched, Console(file=self.text, width=100))

    def lines(self) -> list[str]:
        self.look()
        text = self.text.getvalue()
        self.text.truncate(0)
        self.text.seek(0)
        return [line.strip() for line in text.splitlines()]

    @property
    def done(self) -> float:
        return self.progress.tasks[0].completed


def end(job: Job, monkeypatch: pytest.MonkeyPatch, failure: JobFailed | None = None) -> None:
    def run(*_: object) -> None:
        if failure is not None:
            raise failure

    monkeypatch.setattr(processes, "_run_in_own_tree", run)
    try:
        run_if_missing(job)
    except JobFailed as raised:
        assert raised is failure


def test_a_job_that_only_decodes_is_counted_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = jobs(tmp_path)
    assert made["greedy"].folder == made["beam"].folder
    watcher = Seen([(job, name) for name, job in made.items()])
    assert watcher.progress.tasks[0].total == 3
    assert watcher.lines() == []
    end(made["greedy"], monkeypatch)
    assert (watcher.lines(), watcher.done) == (["finished  greedy"], 1)
    assert (watcher.lines(), watcher.done) == ([], 1)  # told once
    end(made["other"], monkeypatch, JobFailed("no", 1))
    end(made["beam"], monkeypatch, JobFailed("stopped", 143))
    assert (sorted(watcher.lines()), watcher.done) == (["failed  other", "interrupted  beam"], 3)


def test_endings_of_an_earlier_attempt_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = jobs(tmp_path)["greedy"]
    end(job, monkeypatch, JobFailed("no", 1))
    watcher = Seen([(job, "again")])
    assert watcher.lines() == []
    end(job, monkeypatch)
    assert watcher.lines() == ["finished  again"]


def test_equal_jobs_end_together_and_a_job_found_done_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = jobs(tmp_path)["greedy"]
    watcher = Seen([(job, "one"), (job, "one")])
    monkeypatch.setattr(processes, "is_done", lambda _: True)
    run_if_missing(job)
    assert (watcher.lines(), watcher.done) == (["finished  one"], 2)


def test_a_run_is_shown_while_its_progress_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = jobs(tmp_path)

    def write(done: int, stage: str) -> None:
        made["greedy"].folder.mkdir(parents=True, exist_ok=True)
        (made["greedy"].folder / "progress.json").write_text(json.dumps({"stage": stage, "done": done, "total": 9}))

    write(9, "of an earlier attempt")
    watcher = Seen([(made["greedy"], "greedy"), (made["beam"], "beam")])

    def active() -> list[tuple[str, float]]:
        watcher.look()
        return [(task.description, task.completed) for task in watcher.progress.tasks[1:]]

    assert active() == []
    write(3, "training")
    assert active() == [("greedy training", 3)]
    end(made["greedy"], monkeypatch)
    assert active() == []
    write(5, "decoding test")
    assert active() == [("beam decoding test", 5)]
