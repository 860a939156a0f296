"""What a killed sweep leaves behind of its launcher ends by itself; other processes are let be."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from seq2seq_lightning.commands.orphans import ending_with_sweep

SPAWN = multiprocessing.get_context("spawn")


def launched(told: Connection, done: str) -> None:
    """As a process of the launcher: one job, then a wait for the next."""
    with ending_with_sweep(0.05):
        told.send("at work")
        time.sleep(1.0)
        Path(done).touch()
    time.sleep(600)


def sweep(told: Connection, done: str) -> None:
    SPAWN.Process(target=launched, args=(told, done)).start()
    time.sleep(600)


@pytest.mark.slow
def test_a_process_of_a_killed_sweep_ends_with_its_job(tmp_path: Path) -> None:
    done = tmp_path / "done"
    mine, theirs = SPAWN.Pipe()
    killed = SPAWN.Process(target=sweep, args=(theirs, str(done)))
    killed.start()
    theirs.close()
    assert mine.recv() == "at work"
    assert killed.pid is not None
    os.kill(killed.pid, signal.SIGKILL)
    killed.join()
    assert mine.poll(120), "it goes on waiting"  # for the end of the pipe, which the last process that holds it brings
    assert done.exists()


def test_the_process_of_the_sweep_itself_has_no_guard() -> None:
    with ending_with_sweep(0.0), ending_with_sweep(0.0):  # a lock would not be given twice
        assert multiprocessing.parent_process() is None
