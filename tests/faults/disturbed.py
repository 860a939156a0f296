"""Runs that a test disturbs: the job, the process that forks its workers, and what is compared at the end."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seq2seq_lightning.config import Config
from seq2seq_lightning.job import Job
from seq2seq_lightning.training.checkpoint_index import read_index
from seq2seq_lightning.training.checkpoints import read_checkpoint
from tests.bits import same, scores_of

# Everything that carries a state from update to update: dropout, a coin per token at ratio 0.5, two micro-batches per
# update, averaged weights, a plateau and an early stopping that count validations. Epochs of 7 updates, a checkpoint
# each 4, a validation each 7; the exact match hardly moves so early, so that training stops at update 28 of 60.
PLAIN: dict[str, Any] = {
    "data": {
        "name": "reverse",
        "train_size": 110,
        "val_size": 10,
        "test_size": 10,
        "symbols": 6,
        "train_max_length": 6,
        "evaluation_max_length": 7,
        "batching": {"size": 16, "workers": 0},
    },
    "model": {
        "encoder": {
            "embedding_size": 8,
            "hidden_size": 8,
            "layers": 2,
            "dropout": {"embedding": 0.3, "layers": 0.3, "output": 0.3},
        },
        "decoder": {"embedding_size": 8, "hidden_size": 8, "dropout": {"embedding": 0.3, "context": 0.3}},
    },
    "teacher_forcing": {"name": "constant", "ratio": 0.5, "fed_back": "sample"},
    "optimizer": {"name": "adam", "ema": 0.9},
    "learning_rate": {"name": "plateau", "patience": 0},
    "validation": {"every": 7, "patience": 3, "min_delta": 101.0, "monitor": "val/exact_match"},
    "trainer": {"max_steps": 60, "threads": 1, "accelerator": "cpu", "log_every": 1, "accumulate": 2},
    "checkpoint": {"every": 4, "keep": 2, "average": 2, "after_scoring": "keep_all"},
    "decoding": {"name": "greedy", "min_length": 3},  # so early it would write nothing
}
LAST_UPDATE = 28


def job(runs: Path, workers: int = 0, devices: int = 1, cache: Path | None = None) -> Job:
    """The fixture, to be run in this folder; cache: where its ids are kept, if not in memory."""
    plain = copy.deepcopy(PLAIN)
    plain["data"]["batching"]["workers"] = workers
    plain["trainer"]["devices"] = devices
    plain["paths"] = {"runs": str(runs)}
    if cache is not None:
        plain["data"]["cache"], plain["paths"]["cache"] = "always", str(cache)
    return Job.of(Config.from_plain(plain), [])


@dataclass(frozen=True)
class Ended:
    """How the ranks of one worker ended."""

    statuses: list[int]
    seconds: float
    hits: dict[str, int]
    log: str


@dataclass
class Zygote:
    """Forks workers for as long as it is open."""

    process: subprocess.Popen[str] = field(init=False)

    def __enter__(self) -> Zygote:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
        command = [sys.executable, "-m", "tests.faults.zygote"]
        root = Path(__file__).resolve().parents[2]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=root
        )
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            assert self.process.stdin is not None
            self.process.stdin.close()

    def run(self, job: Job, **how: Any) -> Ended:
        """Start the job's worker, disturb it as asked, and wait for its end."""
        assert self.process.stdin is not None and self.process.stdout is not None
        path = job.write()
        log = job.folder / "worker.log"
        for old in job.folder.glob("worker.log.*"):
            old.unlink()
        request = {"job": str(path), "ranks": job.config["trainer"]["devices"], "log": str(log), **how}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        reply = json.loads(self.process.stdout.readline())
        told = "".join(path.read_text() for path in sorted(job.folder.glob("worker.log.[0-9]")))
        return Ended(reply["statuses"], reply["seconds"], reply["hits"], told)


def differences(run_dir: Path, other: Path) -> list[str]:
    """In what two finished runs differ: weights and training states, what was averaged, history, outputs and scores.

    A checkpoint that SIGTERM called for is one more: only the last and the best are compared.
    """
    found = []
    mine, theirs = (read_index(folder / "checkpoints") for folder in (run_dir, other))
    for name in ("last", "best", "average"):
        if getattr(mine, name) != getattr(theirs, name):
            found.append(f"index.{name}: {getattr(mine, name)} != {getattr(theirs, name)}")
    for file in {"average.ckpt", str(theirs.last), str(theirs.best)}:
        one, two = (read_checkpoint(folder / "checkpoints" / file) for folder in (run_dir, other))
        states = ("optimizer_states", "lr_schedulers", "plateau", "ema")
        found += [f"{file}: weights"] * (not same(one.weights, two.weights))
        found += [f"{file}: {key}" for key in states if not same(one.training.get(key), two.training.get(key))]
    if (run_dir / "history.jsonl").read_bytes() != (other / "history.jsonl").read_bytes():
        found.append("history.jsonl")
    return found + ["scores or hypotheses"] * (scores_of(run_dir) != scores_of(other))
