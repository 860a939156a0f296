"""Whole sweeps: every job is checked before the first starts, what is finished is skipped, decodings come last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from seq2seq_lightning.commands.application import JobFailed, explain
from seq2seq_lightning.commands.grids import grids
from seq2seq_lightning.commands.processes import is_done
from seq2seq_lightning.commands.watching import watching
from seq2seq_lightning.errors import ConfigurationError, UserError
from seq2seq_lightning.job import Job


@dataclass(frozen=True)
class Plan:
    """The jobs of a sweep, checked: those that train something new, those that only decode it, and what is done."""

    first: list[int]
    later: list[int]
    done: list[int]
    jobs: list[Job]


def plan_sweep(jobs: list[list[str]], compose: Callable[[Sequence[str]], Job]) -> Plan:
    """Compose and check every job before the first starts. Raises ConfigurationError with every problem found."""
    planned: list[Job] = []
    problems: list[str] = []
    for overrides in jobs:
        try:
            planned.append(compose(overrides))
        except (UserError, HydraException, OmegaConfBaseException) as error:
            problems.append(f"{' '.join(overrides)}: {explain(error)}")
    if problems:
        raise ConfigurationError("\n".join(dict.fromkeys(problems)))
    done = [number for number, job in enumerate(planned) if is_done(job)]
    seen: set[str] = set()
    first: list[int] = []
    later: list[int] = []
    for number, job in enumerate(planned):
        if number not in done:
            (later if job.fingerprint in seen else first).append(number)
            seen.add(job.fingerprint)
    return Plan(first, later, done, planned)


def _once(job: Job, overrides: list[str]) -> list[str]:
    """The overrides of a job whose training another job of this sweep has just done: `fresh` has had its effect."""
    if not (job.train and job.config["fresh"]):
        return overrides
    return [*(each for each in overrides if not each.startswith("fresh=")), "fresh=false"]


def launch_sweep(plan: Plan, jobs: list[list[str]], launcher: Any, at_once: int = 1) -> list[JobReturn]:
    """Hand the jobs to Hydra's launcher: new trainings first, each with the decodings that differ in nothing else, then
    what else decodes them; JobFailed at the end. at_once: how many jobs the launcher runs side by side.
    """
    returns: list[JobReturn] = []
    wanted = sorted([*plan.first, *plan.later], key=lambda number: (number not in plan.first, number))
    together = grids(wanted, plan.jobs, at_once)
    later = [grid for grid in together if grid.job.train and grid.numbers[0] not in plan.first]
    first = [grid for grid in together if grid not in later]
    if plan.done:
        print(f"{len(plan.done)} of {len(jobs)} jobs were finished before")
    with watching([(grid.job, grid.name(jobs)) for grid in together]):
        for wave in (first, later):
            launched = [_once(grid.job, grid.launched(jobs)) if wave is later else grid.launched(jobs) for grid in wave]
            if launched:
                returns += launcher.launch(launched, initial_job_idx=len(returns))
    failed = [
        (grid, answer)
        for grid, answer in zip([*first, *later], returns, strict=True)
        if answer.status is JobStatus.FAILED
    ]
    if failed:
        count = sum(len(grid.numbers) for grid, _ in failed)
        told = [str(answer._return_value) for _, answer in failed]
        raise JobFailed(f"{count} of {len(jobs)} jobs\n" + "\n".join(told))
    return returns
