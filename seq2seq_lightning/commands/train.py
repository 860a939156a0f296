"""`seq2seq-train`: one run, or with `-m` a sweep."""

from __future__ import annotations

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from seq2seq_lightning.commands.application import run_application
from seq2seq_lightning.commands.processes import (
    is_done,
    run_in_own_tree,
    run_in_place,
    share_threads,
    train_task,
    training_job,
)
from seq2seq_lightning.commands.watching import watching
from seq2seq_lightning.experiments.scores import describe, read_all_scores


def task(composed: DictConfig) -> float | None:
    """One job of a sweep, or the run of this command."""
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        return train_task(composed)
    job = share_threads(training_job(composed, HydraConfig.get().overrides.task))
    if is_done(job):
        print("finished before; fresh=true trains again")
    if job.config["trainer"]["devices"] == 1:
        run_in_place(job)
    with watching([(job, job.config["name"])]):
        run_in_own_tree(job)
    print(describe(job.folder, read_all_scores(job.folder).values()))
    return None


def main() -> None:
    """The entry point of the console command."""
    run_application("train", task)


if __name__ == "__main__":
    main()
