"""The commands as a user starts them: real processes, in a folder of their own, one thread each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

BIN = Path(sys.executable).parent
PATIENCE = 600.0  # seconds; only a hang takes so long

# a run of a second or two
SMALL = [
    "data.train_size=200",
    "data.val_size=20",
    "data.test_size=20",
    "data.symbols=6",
    "data.train_max_length=6",
    "data.evaluation_max_length=7",
    "data.batching.size=16",
    "model.encoder.embedding_size=12",
    "model.encoder.hidden_size=16",
    "model.decoder.embedding_size=12",
    "model.decoder.hidden_size=16",
    "trainer.threads=1",
    "trainer.accelerator=cpu",
    "trainer.log_every=1",
]


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str


def start(name: str, arguments: Sequence[str], folder: Path) -> subprocess.Popen[str]:
    """Start a console command in a folder."""
    return subprocess.Popen(
        [str(BIN / f"seq2seq-{name}"), *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], text: str | None = None) -> Ended:
    """Give it its standard input, and wait."""
    try:
        out, err = process.communicate(text, timeout=PATIENCE)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return Ended(process.returncode, out, err)


def seq2seq(name: str, *arguments: str, folder: Path, text: str | None = None, status: int = 0) -> Ended:
    """Run a command to its end; `status` is what is expected of it."""
    ended = finish(start(name, arguments, folder), text)
    assert ended.status == status, f"{name} {' '.join(arguments)}\n{ended.out}\n{ended.err}"
    return ended


def stop(process: subprocess.Popen[str], number: signal.Signals, when: Callable[[], bool]) -> Ended:
    """Send a signal as soon as something has happened, and wait for the end."""
    wait_for(process, when)
    process.send_signal(number)
    return finish(process)


def wait_for(process: subprocess.Popen[str], when: Callable[[], bool]) -> None:
    """Wait until something has happened while the process goes on."""
    until = time.monotonic() + PATIENCE
    try:
        while not when():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < until, "it never happened"
            time.sleep(0.02)
    except BaseException:
        process.kill()
        process.communicate()
        raise


def updates_logged(folder: Path) -> int:
    """How far the run has come that lies somewhere in this folder: the last update of its history."""
    for path in folder.rglob("history.jsonl"):
        for line in reversed(path.read_bytes().splitlines()[-2:]):  # a last line may be half written
            if line.endswith(b"}"):
                return int(json.loads(line)["global_step"])
    return 0


def only_run(folder: Path, runs: str = "runs") -> Path:
    """The one run directory there is."""
    (found,) = (folder / runs).glob("*/*/run.lock")
    return found.parent


def below(pid: int) -> list[int]:
    """All children of a process, and theirs."""
    told = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False).stdout
    children = [int(word) for word in told.split()]
    return [*children, *(each for child in children for each in below(child))]
