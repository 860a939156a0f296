"""Jobs that differ in their seeds alone are launched as one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seq2seq_lightning.commands.company import accompanied, accompany, take_seeds
from seq2seq_lightning.commands.grids import Grid, grids
from seq2seq_lightning.config import Config
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.job import Job

SMALL: dict[str, Any] = {"embedding_size": 8, "hidden_size": 8}


def job_of(seed: int, folder: str = "runs", **changes: Any) -> Job:
    plain = {
        "seed": seed,
        "data": {"name": "scan", "batching": {"size": 1}},
        "model": {"encoder": SMALL, "decoder": SMALL},
        "trainer": {"accelerator": "cpu"},
        "paths": {"runs": folder},
    }
    return Job.of(Config.from_plain(plain | changes), [f"seed={seed}"])


def together(jobs: list[Job], count: int) -> list[Grid]:
    return accompany(grids(range(len(jobs)), jobs), jobs, count)


def test_seeds_of_a_row_go_together_as_many_as_asked_for() -> None:
    rows = [{}, {"optimizer": {"name": "sgd"}}]
    jobs = [job_of(seed, **row) for seed in (1, 2, 3, 4, 5) for row in rows]
    found = together(jobs, 3)
    assert [(grid.numbers, grid.seeds) for grid in found] == [
        ((0, 2, 4), (2, 3)),
        ((1, 3, 5), (2, 3)),
        ((6, 8), (5,)),
        ((7, 9), (5,)),
    ]
    assert found[0].launched([[f"seed={job.config['seed']}"] for job in jobs]) == ["seed=1", "+replicas=[2,3]"]
    assert found[0].name([[f"seed={job.config['seed']}"] for job in jobs]) == "seed=1 and seeds 2, 3"


def test_one_at_a_time_is_as_before() -> None:
    jobs = [job_of(seed) for seed in (1, 2)]
    assert together(jobs, 1) == grids(range(2), jobs)


def test_decodings_of_each_seed_come_along() -> None:
    jobs = [job_of(seed, decoding=search) for seed in (1, 2) for search in ({"name": "greedy"}, {"name": "beam"})]
    (found,) = together(jobs, 2)
    assert found.numbers == (0, 1, 2, 3)
    assert found.seeds == (2,)
    assert len(found.job.decodings()) == 2


def test_what_cannot_go_together_is_refused_before_anything_starts() -> None:
    jobs = [job_of(seed, optimizer={"name": "adam", "ema": 0.5}) for seed in (1, 2)]
    with pytest.raises(ConfigurationError, match=r"^replicas: seed=1: optimizer\.ema=0\.5 has no form for replicas"):
        together(jobs, 2)
    assert len(together(jobs[:1], 2)) == 1  # alone it may


def test_what_gains_nothing_stays_alone_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    ema = {"optimizer": {"name": "adam", "ema": 0.5}}
    jobs = [job_of(1), job_of(1, **ema), job_of(2), job_of(2, **ema)]
    assert [(grid.numbers, grid.seeds) for grid in together(jobs, 2)] == [((0, 2), (2,)), ((1,), ()), ((3,), ())]
    told = capsys.readouterr().err
    assert told.startswith("replicas: seed=1: optimizer.ema=0.5 has no form for replicas. Leave replicas out, so")
    assert told.endswith("These seeds are trained one by one.\n")


def test_the_others_are_jobs_of_their_own(tmp_path: Path) -> None:
    seeds, own = take_seeds({"replicas": [2, 3], "name": "run"}, ["seed=1", "+replicas=[2,3]"])
    assert (seeds, own) == ([2, 3], ["seed=1"])
    job = accompanied(job_of(1, str(tmp_path)), seeds)
    assert [other.run_dir for other in job.others()] == [job_of(seed, str(tmp_path)).run_dir for seed in seeds]
    assert [other.overrides for other in job.others()] == [["seed=2"], ["seed=3"]]
