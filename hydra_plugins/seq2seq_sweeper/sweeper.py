"""A sweeper that checks every job of a sweep before the first one starts, and skips what is finished."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from seq2seq_lightning.commands.compose import composer
from seq2seq_lightning.commands.composition import SweepLoader
from seq2seq_lightning.commands.processes import core_count, jobs_at_once
from seq2seq_lightning.commands.sweeps import launch_sweep, plan_sweep


@dataclass
class CheckingSweeperConf:
    """How Hydra finds the sweeper."""

    _target_: str = "hydra_plugins.seq2seq_sweeper.sweeper.CheckingSweeper"


ConfigStore.instance().store(group="hydra/sweeper", name="seq2seq", node=CheckingSweeperConf, provider="seq2seq")


class CheckingSweeper(BasicSweeper):
    """The grid of Hydra's own sweeper; all jobs are composed and checked first, trainings run before decodings."""

    def __init__(self) -> None:
        super().__init__(max_batch_size=None)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra: what to sweep, and what launches it."""
        context = SweepLoader.within(hydra_context)
        super().setup(hydra_context=context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> Any:
        """Expand the command line into jobs and run those that are not finished."""
        assert self.hydra_context is not None and self.config is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        batches = self.split_arguments(parser.parse_overrides(arguments), None)
        jobs = [list(job) for batch in batches for job in batch]
        return self.run_jobs(jobs)

    def run_jobs(self, jobs: Sequence[Sequence[str]]) -> Any:
        """Check all, then launch."""
        listed = [list(job) for job in jobs]
        plan = plan_sweep(listed, composer(self.hydra_context, self.config))
        at_once = jobs_at_once(self.config.hydra.launcher, core_count())
        return launch_sweep(plan, listed, self.launcher, at_once)
