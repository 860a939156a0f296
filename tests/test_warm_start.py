"""A run that starts from another's weights: through the commands, in a sweep, and when it is interrupted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seq2seq_lightning import run as run_module
from seq2seq_lightning.config import Config
from seq2seq_lightning.experiments.files import read_jsonl
from seq2seq_lightning.experiments.ledger import all_runs
from seq2seq_lightning.experiments.record import read_record
from seq2seq_lightning.job import Job
from seq2seq_lightning.run import run
from seq2seq_lightning.training.loggers import HistoryLogger
from tests.bits import assert_same_run
from tests.terminal import SMALL, only_run, seq2seq

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STILL = ["optimizer=sgd", "optimizer.learning_rate=1e-12", "trainer.max_steps=1", "name=warm"]


class Death(BaseException):
    """What no code of ours catches."""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run."""
    folder = tmp_path_factory.mktemp("base")
    seq2seq("train", *SMALL, "trainer.max_steps=120", "validation.every=120", folder=folder)
    return only_run(folder)


def value(run_dir: Path, key: str) -> float:
    return next(entry["value"] for entry in reversed(read_jsonl(run_dir / "history.jsonl")) if entry["key"] == key)


def test_a_sweep_over_initial_weights_starts_each_run_where_it_says(base: Path, tmp_path: Path) -> None:
    seq2seq("train", "-m", *SMALL, *STILL, "seed=7", f"init_from=null,{base}", folder=tmp_path)
    runs = {str(state.record.config["init_from"]): state.run_dir for state in all_runs(tmp_path / "runs")}  # type: ignore[union-attr]
    assert runs.keys() == {"None", str(base)}
    before = value(base, "val/loss")
    assert value(runs[str(base)], "val/loss") == pytest.approx(before, rel=1e-6)  # it has hardly moved
    assert value(runs["None"], "val/loss") > 1.05 * before
    assert read_record(runs["None"]).initial_weights == {}
    assert read_record(runs[str(base)]).initial_weights["fingerprint"] == base.name
    assert "finished before" in seq2seq("train", *SMALL, *STILL, "seed=7", f"init_from={base}", folder=tmp_path).out


def test_other_data_are_refused_before_anything_is_trained(base: Path, tmp_path: Path) -> None:
    ended = seq2seq("train", *SMALL, *STILL, "data.symbols=5", f"init_from={base}", folder=tmp_path, status=2)
    assert ended.err.startswith(f"error: init_from={base} knows 10 source tokens, this run's data have 9;")
    assert "Traceback" not in ended.err


def test_an_interrupted_warm_start_continues_from_its_own_checkpoint(
    base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Resuming does not begin at the other run's weights again."""
    plain = json.loads((base / "record.json").read_text())["config"]
    plain |= {"init_from": str(base), "checkpoint": {"every": 5, "after_scoring": "keep_all"}}
    plain["trainer"] |= {"max_steps": 20}

    def job(name: str) -> Job:
        return Job.of(Config.from_plain({**plain, "paths": {"runs": str(tmp_path / name)}}), [])

    run(job("undisturbed"))
    log_metrics, calls = HistoryLogger.log_metrics, iter(range(12))

    def dying(*arguments: object, **options: object) -> None:
        log_metrics(*arguments, **options)  # type: ignore[arg-type]
        if next(calls) == 11:
            raise Death

    with monkeypatch.context() as patch:
        patch.setattr(HistoryLogger, "log_metrics", dying)
        with pytest.raises(Death):
            run(job("disturbed"))
    monkeypatch.setattr(run_module, "start_from", lambda *_: pytest.fail("began anew"))
    run(job("disturbed"))
    assert_same_run(job("disturbed").folder, job("undisturbed").folder)
