"""`seq2seq-evaluate run=DIR decoding=beam`: decodes a finished run again; with `-m` a sweep of decodings."""

from __future__ import annotations

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from seq2seq_lightning.commands.application import plain, run_application
from seq2seq_lightning.commands.evaluation import evaluation_job
from seq2seq_lightning.commands.processes import run_if_missing, run_in_place, share_threads


def task(composed: DictConfig) -> None:
    """One decoding of a sweep, or the one of this command."""
    job = share_threads(evaluation_job(plain(composed), HydraConfig.get().overrides.task))
    if HydraConfig.get().mode is not RunMode.MULTIRUN:
        run_in_place(job)
    run_if_missing(job)


def main() -> None:
    """The entry point of the console command."""
    run_application("evaluate", task)


if __name__ == "__main__":
    main()
