"""`hydra/sweeper=optuna`: proposes values by what earlier ones have scored, on validation and never on a test set.

Values are proposed by the samplers of hydra-optuna-sweeper, in its grammar. Each proposal is stored before it is run,
and its score is read from the run's record, so the same command continues an interrupted search: what is finished is
told to the sampler, what is not is run, and proposals go on until there are `n_trials`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import MISSING, DictConfig

from seq2seq_lightning.commands.application import JobFailed
from seq2seq_lightning.commands.compose import composer
from seq2seq_lightning.commands.composition import SweepLoader
from seq2seq_lightning.commands.processes import core_count, jobs_at_once
from seq2seq_lightning.commands.searches import Search, refuse_idle_axes, validation_scores
from seq2seq_lightning.commands.sweeps import launch_sweep, plan_sweep
from seq2seq_lightning.experiments.files import lock


@dataclass
class OptunaSweeperConf:
    """What a search is told; the samplers are those of hydra-optuna-sweeper."""

    _target_: str = "hydra_plugins.seq2seq_sweeper.optuna_sweeper.OptunaSweeper"
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}])
    sampler: Any = MISSING  # hydra/sweeper/sampler=tpe | random | cmaes | nsgaii
    n_trials: int = 20  # proposals in all; raised later, the search goes on
    n_jobs: int = 1  # proposals made together, before any of them has a score; the launcher runs them
    max_failure_rate: float = 1.0  # of the proposals made together; above it the search stops
    params: dict[str, str] | None = None  # ranges by key, besides those of the command line


if find_spec("hydra_plugins.hydra_optuna_sweeper") is not None:
    # registers the samplers, and a sweeper of the same name, which ours replaces
    import_module("hydra_plugins.hydra_optuna_sweeper.config")
    ConfigStore.instance().store(group="hydra/sweeper", name="optuna", node=OptunaSweeperConf, provider="seq2seq")


class OptunaSweeper(Sweeper):
    """Asks a sampler for values, runs them through any launcher, and tells it the best validation scores."""

    def __init__(
        self, sampler: Any, n_trials: int, n_jobs: int, max_failure_rate: float, params: DictConfig | None
    ) -> None:
        self.sampler = sampler
        self.n_trials = n_trials
        self.n_jobs = n_jobs
        self.max_failure_rate = max_failure_rate
        self.params = params or {}

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra: what to sweep, and what launches it."""
        self.config = config
        self.hydra_context = SweepLoader.within(hydra_context)
        self.launcher = Plugins.instance().instantiate_launcher(
            config=config, hydra_context=self.hydra_context, task_function=task_function
        )

    def sweep(self, arguments: list[str]) -> None:
        """Propose, run and score until there are `n_trials`; a proposal that failed is told as failed."""
        ranges = [f"{key}={value}" for key, value in self.params.items()]
        space, fixed = import_module("hydra_plugins.hydra_optuna_sweeper._impl").create_params_from_overrides(
            [*ranges, *arguments]
        )
        refuse_idle_axes(space)
        given = [f"{key}={value}" for key, value in fixed.items()]
        common = composer(self.hydra_context, self.config)(given)
        folder = Path(common.config["paths"]["runs"]) / common.config["name"]
        what = {"space": {key: repr(each) for key, each in space.items()}, "sampler": type(self.sampler).__name__}
        search = Search.of(folder, what | {"given": given}, common.config["validation"]["monitor"])
        with lock(search.path.with_suffix(".lock"), blocking=False):
            self._propose(search, space, given)

    def _propose(self, search: Search, space: dict[str, Any], given: list[str]) -> None:
        optuna = import_module("optuna")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=self.sampler, direction=search.direction)
        failures: list[str] = []
        replayed = len(search.stored)
        for begun in range(0, self.n_trials, self.n_jobs):
            numbers = range(begun, min(begun + self.n_jobs, self.n_trials))
            if replayed > 0 and begun <= replayed < numbers.stop:
                self.sampler.reseed_rng()  # or it would propose once more what it began with
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                trials = [self._ask(study, search, space, number) for number in numbers]
            jobs = [[*given, *(f"{key}={value}" for key, value in trial.params.items())] for trial in trials]
            scores, problem = self._run(jobs)
            for trial, score in zip(trials, scores, strict=True):
                state = optuna.trial.TrialState.FAIL if score is None else optuna.trial.TrialState.COMPLETE
                study.tell(trial, score, state)
            failures += [problem] if problem else []
            if scores.count(None) > self.max_failure_rate * len(scores):
                break
        if search.stored and any(trial.state.name == "COMPLETE" for trial in study.trials):
            values = " ".join(f"{key}={value}" for key, value in study.best_params.items())
            print(f"best of {len(study.trials)} proposals: {search.monitor} {study.best_value:.6g} with {values}")
        if failures:
            raise JobFailed("\n".join(failures))

    def _ask(self, study: Any, search: Search, space: dict[str, Any], number: int) -> Any:
        """A proposal: the stored one of this number, or a new one, which is stored before it is run."""
        if number < len(search.stored):
            study.enqueue_trial(search.stored[number])
        trial = study.ask()
        for key, distribution in space.items():
            trial._suggest(key, distribution)
        if number >= len(search.stored):
            search.store(trial.params)
        return trial

    def _run(self, jobs: Sequence[list[str]]) -> tuple[list[float | None], str | None]:
        """The best validation score of each job, None for one that failed, and what failed."""
        plan = plan_sweep(list(jobs), composer(self.hydra_context, self.config))
        problem = None
        try:
            launch_sweep(plan, list(jobs), self.launcher, jobs_at_once(self.config.hydra.launcher, core_count()))
        except JobFailed as error:
            if error.status in (130, 143):
                raise
            problem = str(error)
        return validation_scores(plan.jobs), problem
