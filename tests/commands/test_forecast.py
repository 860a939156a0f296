"""What is to come is reckoned from what was: finished runs of a cell first, then a look, which is remembered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seq2seq_lightning.commands import forecast as forecasting
from seq2seq_lightning.commands.application import JobFailed
from seq2seq_lightning.commands.forecast import CellCost, Trained, cell_of, forecast, told
from seq2seq_lightning.config import Config, PathsConfig
from seq2seq_lightning.experiments.files import write_json_durably
from seq2seq_lightning.experiments.record import Record, write_record
from seq2seq_lightning.job import Job
from seq2seq_lightning.training.settings import TrainerConfig


@pytest.fixture
def make(tmp_path: Path) -> Any:
    def job(seed: int, **trainer: Any) -> Job:
        settings = TrainerConfig(threads=1, **{"max_steps": 1000, **trainer})
        return Job.of(Config(paths=PathsConfig(str(tmp_path / "runs")), seed=seed, trainer=settings), [])

    return job


def finished(job: Job, started: str, ended: str, train_seconds: float = 0.0, **further: Any) -> None:
    when = {"started": f"2026-01-01T{started}+00:00", "finished": f"2026-01-01T{ended}+00:00"}
    timings = {"train_seconds": train_seconds} | further
    write_record(job.folder, Record("completed", "run", job.fingerprint, 1, job.config, 1, timings=timings, **when))


def test_a_cell_is_a_training_whatever_its_seed(make: Any) -> None:
    assert cell_of(make(1)) == cell_of(make(2)) != cell_of(make(1, max_steps=10))


def test_finished_runs_tell_what_the_others_will_take(make: Any) -> None:
    finished(make(1), "10:00:00", "11:00:00")
    finished(make(2), "10:00:00", "10:01:00", train_seconds=7200.0)  # resumed: its last attempt was short
    trained = [Trained("gru", make(seed), seed > 2) for seed in (1, 2, 3, 4)]
    assert forecast(trained, profile=30) == [CellCost("gru", 2, 5400.0, "2 finished runs")]


def test_what_is_done_costs_nothing(make: Any) -> None:
    assert forecast([Trained("gru", make(1), False)], profile=30) == []


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    """Stands in for training: thirty updates at half a second, the first ten of them slow."""
    asked: list[Job] = []

    def train(job: Job) -> None:
        asked.append(job)
        timings = {"train_seconds": 0.0, "updates": 30}
        data = {"sizes": {"train": 640}}
        write_record(job.folder, Record("completed", "run", "0" * 12, 1, job.config, 1, timings=timings, data=data))
        write_json_durably(job.folder / "windows.json", [[50.0, 1], [5.0, 1], [5.0, 1]])

    monkeypatch.setattr(forecasting, "run_in_own_tree", train)
    return asked


def test_a_look_tells_where_nothing_is_finished_and_is_taken_once(make: Any, looks: list[Job]) -> None:
    for _ in range(2):
        (cost,) = forecast([Trained("gru", make(seed), True) for seed in (1, 2)], profile=30)
        assert (cost.missing, cost.source) == (2, "30 of 1000 updates timed")
        assert cost.seconds == pytest.approx(500.0, abs=5.0)
    (look,) = looks
    assert look.config["trainer"]["max_steps"] == 30 and look.test_sets == []
    assert look.run_dir != make(1).run_dir and not Path(look.run_dir).exists()


def test_epochs_are_counted_in_updates(make: Any, looks: list[Job]) -> None:
    (cost,) = forecast([Trained("gru", make(1, max_steps=None, max_epochs=3), True)], profile=30)
    assert cost.source == "30 of 30 updates timed"  # 640 rows in batches of 64, three times


def test_without_a_look_the_cost_is_unknown(make: Any) -> None:
    (cost,) = forecast([Trained("gru", make(1), True)], profile=0)
    assert (cost.seconds, cost.source) == (None, "unknown: no run of this cell is finished")


@pytest.fixture
def make_small(make: Any) -> Any:
    """Jobs whose seeds can be trained at once."""
    small = {"model": {"bridge": {"name": "copy"}, "encoder": {"hidden_size": 8}, "decoder": {"hidden_size": 8}}}
    data = {"data": {"name": "reverse", "val_size": 0, "batching": {"size": 2}}}

    def job(seed: int) -> Job:
        plain = make(seed, accelerator="cpu").config
        return Job.of(
            Config.from_plain(small | data | {name: plain[name] for name in ("paths", "seed", "trainer")}), []
        )

    return job


def test_seeds_at_once_are_looked_at_together_and_have_a_share_each(make_small: Any, looks: list[Job]) -> None:
    trained = [Trained("gru", make_small(seed), True) for seed in (1, 2, 3)]
    (cost,) = forecast(trained, profile=30, replicas=2)
    assert (cost.missing, cost.source) == (3, "30 of 1000 updates timed, 2 seeds at once")
    assert cost.seconds == pytest.approx(250.0, abs=5.0)
    assert told([cost], at_once=4)[-1] == "forecast: 0.21 h for 3 trainings, 0.14 h with 4 at once"  # two are one job
    (alone,) = forecast(trained, profile=30)
    assert alone.seconds == pytest.approx(500.0, abs=5.0)
    assert [len(look.together) for look in looks] == [1, 0]


def test_a_run_in_company_tells_its_share(make_small: Any) -> None:
    for seed, ended in ((1, "11:00:00"), (2, "11:10:00")):  # scored one after the other
        finished(make_small(seed), "10:00:00", ended, replicas=[1, 2])
    trained = [Trained("gru", make_small(seed), seed > 2) for seed in (1, 2, 3, 4)]
    (cost,) = forecast(trained, profile=0, replicas=2)
    assert (cost.seconds, cost.source) == (2100.0, "2 finished runs, 2 seeds at once")
    assert forecast(trained, profile=0)[0].seconds is None  # of one alone they tell nothing


def test_seeds_that_cannot_be_trained_at_once_are_looked_at_alone(make: Any, looks: list[Job]) -> None:
    (cost,) = forecast([Trained("gru", make(seed), True) for seed in (1, 2)], profile=30, replicas=2)
    assert (cost.source, cost.together, looks[0].together) == ("30 of 1000 updates timed", 1, [])


def test_a_look_that_fails_leaves_the_others(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(job: Job) -> None:
        raise JobFailed("no data")

    monkeypatch.setattr(forecasting, "run_in_own_tree", fail)
    finished(make(1, max_steps=10), "10:00:00", "10:01:00")
    trained = [Trained("a", make(1), True), *(Trained("b", make(seed, max_steps=10), seed > 1) for seed in (1, 2))]
    assert [cost.source for cost in forecast(trained, 30)] == ["unknown: no data", "1 finished run"]


def test_the_sum_counts_what_runs_at_once_but_no_training_is_halved() -> None:
    costs = [CellCost("a", 3, 3600.0, "x"), CellCost("b", 1, 7200.0, "x"), CellCost("c", 2, None, "unknown: y")]
    *lines, total = told(costs, at_once=4)
    assert lines[0] == "  1.00 h  x 3   a  (x)" and lines[2].startswith("     ? h  x 2   c")
    assert total == "forecast: 5.00 h for 6 trainings, 2.00 h with 4 at once; without 2 of unknown cost"
    assert told(costs[:1], at_once=1)[-1] == "forecast: 3.00 h for 3 trainings"
