"""A search is scored on validation only, and remembers what it has proposed."""

from __future__ import annotations

from pathlib import Path

import pytest

from seq2seq_lightning.commands.searches import Search, refuse_idle_axes, validation_scores
from seq2seq_lightning.config import Config, PathsConfig
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.record import Record, write_record
from seq2seq_lightning.job import Job
from seq2seq_lightning.training.settings import ValidationConfig


@pytest.mark.parametrize(
    ("monitor", "direction"),
    [
        ("val/loss", "minimize"),
        ("val/perplexity", "minimize"),
        ("val/exact_match", "maximize"),
        ("val/teacher_forced_accuracy", "maximize"),
    ],
)
def test_the_direction_is_that_of_the_monitored_score(monitor: str, direction: str, tmp_path: Path) -> None:
    assert Search.of(tmp_path, {}, monitor).direction == direction


def test_a_test_score_cannot_be_monitored() -> None:
    with pytest.raises(ConfigurationError, match="'test/exact_match'; it must be a key such as 'val/loss'"):
        ValidationConfig(monitor="test/exact_match")


def test_proposals_are_found_again_by_the_same_search_only(tmp_path: Path) -> None:
    search = Search.of(tmp_path, {"space": {"lr": "0..1"}}, "val/loss")
    search.store({"lr": 0.1, "cell": "gru"})
    search.store({"lr": 0.30000000000000004, "cell": None})
    assert Search.of(tmp_path, {"space": {"lr": "0..1"}}, "val/loss").stored == search.stored
    assert Search.of(tmp_path, {"space": {"lr": "0..2"}}, "val/loss").stored == []


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["seed", "decoding.beam_width"], "decoding.beam_width: it does not change the validation score"),
        (["+logger.mode"], "cannot search over \\+logger.mode: it does not change"),
        (["validation.monitor"], "validation.monitor: proposals must be scored alike"),
        ([], "no range to search"),
    ],
)
def test_ranges_that_mean_nothing_are_refused(keys: list[str], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        refuse_idle_axes(keys)


def test_the_score_is_the_best_one_on_validation(tmp_path: Path) -> None:
    jobs = [Job.of(Config(paths=PathsConfig(str(tmp_path)), seed=seed), []) for seed in (1, 2, 3)]
    states = [("completed", {"best_score": 0.5}), ("failed", {})]
    for job, (status, timings) in zip(jobs, states, strict=False):
        write_record(job.folder, Record(status, "run", job.fingerprint, 1, job.config, 1, timings=timings))
    assert validation_scores(jobs) == [0.5, None, None]


def test_a_run_that_never_validated_cannot_be_searched_by(tmp_path: Path) -> None:
    job = Job.of(Config(paths=PathsConfig(str(tmp_path))), [])
    write_record(job.folder, Record("completed", "run", job.fingerprint, 1, job.config, 1))
    with pytest.raises(ConfigurationError, match="has no validation score to search by"):
        validation_scores([job])
