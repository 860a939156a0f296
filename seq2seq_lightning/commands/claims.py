"""Which command runs a training: several commands on one folder share its trials, and none is trained twice.

Whoever starts a worker holds `claim.lock` in the run directory and hands the descriptor on to the worker. The lock is
freed when both have ended, however they end: a worker that outlives a killed command still counts as running.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from seq2seq_lightning.commands.application import JobFailed
from seq2seq_lightning.experiments.files import BusyError, is_locked, lock
from seq2seq_lightning.experiments.ledger import claim_path, is_busy, lock_path
from seq2seq_lightning.job import Job


class JobElsewhere(JobFailed):
    """Another command is at this training; whether that ends well is not known yet."""


@contextmanager
def claiming(job: Job) -> Iterator[tuple[int, ...]]:
    """Hold a training against other commands; yields the descriptors its worker is to inherit.

    Raises JobElsewhere where another command has it. What only decodes writes folders of its own and needs no claim.
    """
    if not job.train:
        yield ()
        return
    with ExitStack() as held:
        try:
            descriptor = held.enter_context(lock(claim_path(job.folder), blocking=False))
        except BusyError as error:
            raise JobElsewhere(str(error)) from error
        if is_locked(lock_path(job.folder)):  # by a command that runs nothing else, or a worker left by one killed
            raise JobElsewhere(f"{job.folder} is in use by another process.")
        yield (descriptor,)


def wait_for_one(folders: Sequence[Path], seconds: float = 0.5) -> None:
    """Wait until nobody works any more in at least one of these run directories."""
    while folders and all(is_busy(folder) for folder in folders):
        time.sleep(seconds)
