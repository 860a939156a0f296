"""Whole sweeps: every job is checked before the first starts, what is finished is skipped, decodings come last."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from seq2seq_lightning.commands.application import JobFailed, explain
from seq2seq_lightning.commands.claims import JobElsewhere, wait_for_one
from seq2seq_lightning.commands.company import accompany
from seq2seq_lightning.commands.grids import Grid, grids
from seq2seq_lightning.commands.processes import is_done
from seq2seq_lightning.commands.watching import watching
from seq2seq_lightning.errors import ConfigurationError, UserError
from seq2seq_lightning.experiments.ledger import is_busy
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
    finished, seen = set(done), set[str]()
    first: list[int] = []
    later: list[int] = []
    for number, job in enumerate(planned):
        if number not in finished:
            (later if job.fingerprint in seen else first).append(number)
            seen.add(job.fingerprint)
    return Plan(first, later, done, planned)


def _once(job: Job, overrides: list[str]) -> list[str]:
    """The overrides of a job whose training another job of this sweep has just done: `fresh` has had its effect."""
    if not (job.train and job.config["fresh"]):
        return overrides
    return [*(each for each in overrides if not each.startswith("fresh=")), "fresh=false"]


def launch_sweep(
    plan: Plan, jobs: list[list[str]], launcher: Any, at_once: int = 1, replicas: int = 1
) -> list[JobReturn]:
    """Hand the jobs to Hydra's launcher: new trainings first, each with the decodings that differ in nothing else, then
    what else decodes them; JobFailed at the end. at_once: how many jobs the launcher runs side by side.

    What another command is at is left to it; at the end its outcome is waited for, and what it did not finish is run.
    """
    together = accompany(grids([*plan.first, *plan.later], plan.jobs, at_once), plan.jobs, replicas)
    new = set(plan.first)
    first = [grid for grid in together if grid.numbers[0] in new or not grid.job.train]
    later = [grid for grid in together if grid.numbers[0] not in new and grid.job.train]
    waves = _Waves(first, later, jobs, launcher)
    if plan.done:
        print(f"{len(plan.done)} of {len(jobs)} jobs were finished before")
    with watching([(grid.job, grid.name(jobs)) for grid in together]):
        waves.launch(together)
        while elsewhere := waves.elsewhere():
            if all(is_busy(grid.job.folder) for grid in elsewhere):
                number = f"{len(elsewhere)} job{'s' if len(elsewhere) > 1 else ''}"
                names = ", ".join(grid.name(jobs) for grid in elsewhere)
                print(f"waiting for {number} that another command is running: {names}", file=sys.stderr)
                wait_for_one([grid.job.folder for grid in elsewhere])
            waves.launch([grid for grid in elsewhere if not is_busy(grid.job.folder)])
    return waves.concluded()


def _launched(launcher: Any, jobs: list[list[str]], begun: int) -> Sequence[JobReturn]:
    """One answer per job, also where a process of the launcher itself was killed, which takes all answers with it."""
    try:
        return launcher.launch(jobs, initial_job_idx=begun)
    except (UserError, HydraException, OmegaConfBaseException):
        raise
    except Exception as error:
        what = f"{' '.join(str(error).split())[:200]} ({type(error).__name__})"
        problem = JobFailed(
            f"the launcher broke down: {what}. What it had started may still run: the same command waits for it, and "
            "runs what is missing."
        )
        answer = JobReturn(status=JobStatus.FAILED)
        answer.return_value = problem
        return [answer] * len(jobs)


@dataclass
class _Waves:
    """What is launched, in the order of the launches, and how each ended."""

    first: list[Grid]
    later: list[Grid]
    jobs: list[list[str]]
    launcher: Any
    launches: int = 0

    def __post_init__(self) -> None:
        self.answers: dict[tuple[int, ...], JobReturn] = {}

    def launch(self, grids: Sequence[Grid]) -> None:
        """Launch those of the first wave among these, then those of the second."""
        wanted = {grid.numbers for grid in grids}
        for wave in (self.first, self.later):
            chosen = [grid for grid in wave if grid.numbers in wanted]
            given = [grid.launched(self.jobs) for grid in chosen]
            if wave is self.later:
                given = [_once(grid.job, overrides) for grid, overrides in zip(chosen, given, strict=True)]
            if given:
                answers = _launched(self.launcher, given, self.launches)
                self.launches += len(given)
                self.answers |= {grid.numbers: answer for grid, answer in zip(chosen, answers, strict=True)}

    def elsewhere(self) -> list[Grid]:
        """Those that another command had."""
        return [grid for grid in self.first + self.later if isinstance(self._problem(grid), JobElsewhere)]

    def concluded(self) -> list[JobReturn]:
        """The answers. Raises JobFailed with all that failed."""
        failed = [grid for grid in self.first + self.later if self._problem(grid) is not None]
        if failed:
            count = sum(len(grid.numbers) for grid in failed)
            told = dict.fromkeys(str(self._problem(grid)) for grid in failed)
            raise JobFailed(f"{count} of {len(self.jobs)} jobs\n" + "\n".join(told))
        return [self.answers[grid.numbers] for grid in self.first + self.later]

    def _problem(self, grid: Grid) -> Any:
        answer = self.answers[grid.numbers]
        return answer._return_value if answer.status is JobStatus.FAILED else None
