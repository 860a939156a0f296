"""Several seeds for the price of few: the jobs of a sweep that differ in their seeds alone become one launched job.

The job that leads is launched with the seeds of the others as one more override, which no configuration holds.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from seq2seq_lightning.commands.grids import SEEDS, Grid
from seq2seq_lightning.config import Config
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.fingerprint import fingerprint as hash_parts
from seq2seq_lightning.job import Job
from seq2seq_lightning.replica_rules import replica_problems


def accompany(grids: Sequence[Grid], jobs: Sequence[Job], count: int) -> list[Grid]:
    """Of those that train, up to so many that differ in their seeds alone together, in the order of the first.

    Those that cannot be, or would not gain, stay alone, and the reason is told. Raises ConfigurationError where that
    holds for all.
    """
    if count == 1:
        return list(grids)
    groups: dict[str, list[Grid]] = {}
    for grid in grids:
        groups.setdefault(_but_for_seed(grid.job), []).append(grid)
    reasons = {key: _reasons(group[0].job) for key, group in groups.items() if len(group) > 1}
    told = "\n".join(reason for its in reasons.values() for reason in its)
    if reasons and all(reasons.values()):
        raise ConfigurationError(told)
    if told:
        print(f"{told}\nThese seeds are trained one by one.", file=sys.stderr)
    alone = {key for key, its in reasons.items() if its}
    found = [each for key, group in groups.items() for each in (group if key in alone else _parts(group, jobs, count))]
    place = {grid.numbers[0]: index for index, grid in enumerate(grids)}
    return sorted(found, key=lambda grid: place[grid.numbers[0]])  # evenly over rows, as they came


def _reasons(job: Job) -> list[str]:
    """Why seeds of this job cannot be trained at once, or would not gain."""
    problems = replica_problems(Config.from_plain(job.config))
    return [f"replicas: {' '.join(job.overrides) or job.folder.name}: {problem}" for problem in problems]


def _parts(group: Sequence[Grid], jobs: Sequence[Job], count: int) -> list[Grid]:
    return [_joined(group[begin : begin + count], jobs) for begin in range(0, len(group), count)]


def take_seeds(plain: dict[str, Any], overrides: Sequence[str]) -> tuple[list[int], list[str]]:
    """Take the seeds of the others out of a composed configuration, and out of the overrides it was made by."""
    return plain.pop(SEEDS.lstrip("+"), []), [each for each in overrides if not each.startswith(f"{SEEDS}=")]


def accompanied(job: Job, seeds: Sequence[int]) -> Job:
    """The job with those of the other seeds, whose files are written beside their runs."""
    return replace(job, together=[str(_with_seed(job, seed).write()) for seed in seeds])


def _with_seed(job: Job, seed: int) -> Job:
    config = Config.from_plain(job.config | {"seed": seed})
    overrides = [f"seed={seed}" if each.startswith("seed=") else each for each in job.overrides]
    return replace(Job.of(config, overrides), also=job.also, train=job.train, test_sets=job.test_sets)


def _but_for_seed(job: Job) -> str:
    """Equal for jobs that may go together; what does not train is alone."""
    config = {key: value for key, value in job.config.items() if key != "seed"}
    return hash_parts({"config": config, "also": job.also, "alone": None if job.train else job.run_dir})


def _joined(part: Sequence[Grid], jobs: Sequence[Job]) -> Grid:
    """Grids as one; the numbers of the first lead."""
    if len(part) == 1:
        return part[0]
    numbers = tuple(number for grid in part for number in grid.numbers)
    seeds = tuple(jobs[grid.numbers[0]].config["seed"] for grid in part[1:])
    return replace(part[0], numbers=numbers, seeds=seeds)
