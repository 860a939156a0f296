"""From the overrides of one job of a sweep to the checked job, by the command that the sweep belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from hydra.types import HydraContext
from omegaconf import DictConfig

from seq2seq_lightning.commands.composition import SweepLoader
from seq2seq_lightning.commands.evaluation import evaluation_job
from seq2seq_lightning.commands.processes import training_job
from seq2seq_lightning.job import Job

JOB_OF: dict[str, Callable[[dict[str, Any], Sequence[str]], Job]] = {"train": training_job, "evaluate": evaluation_job}


def composer(context: HydraContext, master: DictConfig) -> Callable[[Sequence[str]], Job]:
    """A function that composes and checks one job as Hydra's launchers will compose it."""
    make = JOB_OF[master.hydra.job.config_name]
    loader = context.config_loader
    assert isinstance(loader, SweepLoader)

    def compose(overrides: Sequence[str]) -> Job:
        return make(loader.values(master, overrides), overrides)

    return compose
