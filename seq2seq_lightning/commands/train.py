"""`seq2seq-train`: one run, or with `-m` a sweep."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from seq2seq_lightning.commands.application import plain, run_application
from seq2seq_lightning.commands.processes import (
    is_done,
    run_attached,
    run_in_own_tree,
    run_in_place,
    share_threads,
    train_task,
    world_size,
)
from seq2seq_lightning.commands.watching import watching
from seq2seq_lightning.config import Config
from seq2seq_lightning.debugging import debugging_job, report
from seq2seq_lightning.experiments.scores import describe, read_all_scores
from seq2seq_lightning.job import Job


def task(composed: DictConfig) -> float | None:
    """One job of a sweep, or the run of this command."""
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        return train_task(composed)
    overrides = list(HydraConfig.get().overrides.task)
    config = Config.from_plain(plain(composed))
    if config.debug is not None:
        debug(config, overrides)
        return None
    job = share_threads(Job.of(config, overrides))
    if is_done(job):
        print("finished before; fresh=true trains again")
    if world_size(job) == 1:
        run_in_place(job)
    with watching([(job, job.config["name"])]):
        run_in_own_tree(job)
    print(describe(job.folder, read_all_scores(job.folder).values()))
    return None


def debug(config: Config, overrides: list[str]) -> None:
    """Run the first batch in a folder that goes away again, and say what was seen."""
    assert config.debug is not None
    with TemporaryDirectory(prefix="seq2seq-debug-") as folder:
        status = run_attached(share_threads(debugging_job(config, overrides, Path(folder))))
        if status != 0:
            sys.exit(status)
        print(report(config.debug, Path(folder)))


def main() -> None:
    """The entry point of the console command."""
    run_application("train", task)


if __name__ == "__main__":
    main()
