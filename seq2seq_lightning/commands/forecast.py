"""What the missing trials of an ablation will cost: by finished runs of the same cell, else by a look of a few updates.

A cell is a training without its seed. Runs under `committed` were made on other machines, so only those under
`paths.runs` are asked. A look trains in a process tree and a folder of its own, which goes away again; what it has
found is kept beside the runs.
"""

from __future__ import annotations

import math
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from seq2seq_lightning.commands.application import JobFailed
from seq2seq_lightning.commands.processes import run_in_own_tree, share_threads
from seq2seq_lightning.config import Config
from seq2seq_lightning.data.bucketing import BatchUnit
from seq2seq_lightning.errors import ConfigurationError, UserError
from seq2seq_lightning.experiments.files import read_json, write_json_durably
from seq2seq_lightning.experiments.fingerprint import fingerprint as hash_parts
from seq2seq_lightning.experiments.ledger import State, state_of
from seq2seq_lightning.experiments.record import Record, read_record
from seq2seq_lightning.job import Job
from seq2seq_lightning.training.learning_rates import ConstantRateConfig, length_problems
from seq2seq_lightning.training.settings import NoLoggerConfig

FOLDER = ".forecasts"
APART = (
    "seed",
    "name",
    "group",
    "paths",
    "logger",
    "decoding",
    "metrics",
    "fresh",
)  # in what runs of a cell may differ


@dataclass(frozen=True)
class Trained:
    """A training of the ablation: what to call its cell, and whether it is still to be done."""

    name: str
    job: Job
    missing: bool


@dataclass(frozen=True)
class CellCost:
    """Seconds that one more training of a cell takes, how that is known, and how many are missing."""

    name: str
    missing: int
    seconds: float | None
    source: str

    def __str__(self) -> str:
        each = "     ?" if self.seconds is None else f"{self.seconds / 3600:6.2f}"
        return f"{each} h  x {self.missing:<3} {self.name}  ({self.source})"


def forecast(trained: Sequence[Trained], profile: int) -> list[CellCost]:
    """The cost of each cell of which trainings are missing. profile: updates of a look; 0: none."""
    cells: dict[str, list[Trained]] = {}
    for each in trained:
        cells.setdefault(cell_of(each.job), []).append(each)
    return [_cost(members, profile) for members in cells.values() if any(each.missing for each in members)]


def told(costs: Sequence[CellCost], at_once: int) -> list[str]:
    """The forecast in words, one line for each cell, then the sum."""
    known = [each for each in costs if each.seconds is not None]
    hours = sum((each.seconds or 0.0) * each.missing for each in known) / 3600
    count = sum(each.missing for each in costs)
    longest = max(((each.seconds or 0.0) / 3600 for each in known), default=0.0)
    parallel = f", {max(hours / at_once, longest):.2f} h with {at_once} at once" if at_once > 1 else ""
    unknown = sum(each.missing for each in costs) - sum(each.missing for each in known)
    without = f"; without {unknown} of unknown cost" if unknown else ""
    return [*map(str, costs), f"forecast: {hours:.2f} h for {count} trainings{parallel}{without}"]


def cell_of(job: Job) -> str:
    """Equal for trainings that differ in the seed only."""
    return hash_parts({key: value for key, value in job.config.items() if key not in APART})


def _cost(members: Sequence[Trained], profile: int) -> CellCost:
    missing = sum(each.missing for each in members)
    states = [state_of(each.job.folder) for each in members]
    seconds = [_spent(run.record) for run in states if run.state is State.finished and run.record]
    if seconds:
        runs = f"{len(seconds)} finished run{'s' if len(seconds) > 1 else ''}"
        return CellCost(members[0].name, missing, statistics.mean(seconds), runs)
    job = share_threads(members[0].job)
    path = Path(job.config["paths"]["runs"]) / FOLDER / f"{_key(job)}.json"
    try:
        looked = read_json(path) if path.exists() else _look(job, profile) if profile else {}
    except (UserError, JobFailed) as error:
        return CellCost(members[0].name, missing, None, f"unknown: {error}")
    if not looked:
        return CellCost(members[0].name, missing, None, "unknown: no run of this cell is finished")
    write_json_durably(path, looked)
    total = looked["updates_in_all"]
    seconds_in_all = looked["overhead_seconds"] + total * looked["seconds_per_update"]
    return CellCost(members[0].name, missing, seconds_in_all, f"{looked['updates']} of {total} updates timed")


def _spent(record: Record) -> float:
    """Seconds of a finished run: of its last attempt, or of all its updates where it was resumed."""
    wall = 0.0
    if record.started and record.finished:
        wall = (datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)).total_seconds()
    return max(wall, record.timings.get("train_seconds", 0.0))


def _key(job: Job) -> str:
    where = {"threads": job.config["trainer"]["threads"], "host": platform.node()}
    return hash_parts({"cell": cell_of(job)} | where)


# -- a look ------------------------------------------------------------------------------------------------------------


def _look(job: Job, updates: int) -> dict[str, Any]:
    """Train a few updates and validate once; the first ten updates are the warm-up."""
    config = Config.from_plain(job.config)
    began = time.monotonic()
    with TemporaryDirectory(prefix="seq2seq-forecast-") as folder:
        short = _short(config, updates)
        run_in_own_tree(replace(job, run_dir=folder, config=short.to_plain(), test_sets=[]))
        record = read_record(Path(folder))
        windows = read_json(Path(folder) / "windows.json")
    per_update = statistics.median(seconds for seconds, _ in windows[1:] or windows) / 10
    return {
        "updates": updates,
        "updates_in_all": _updates_in_all(config, record),
        "seconds_per_update": per_update,
        "overhead_seconds": time.monotonic() - began - record.timings["train_seconds"],
    }


def _short(config: Config, updates: int) -> Config:
    trainer = replace(config.trainer, max_steps=updates, max_epochs=None)
    rate = config.learning_rate
    comes_later = length_problems(rate, max_steps=updates, max_epochs=None)  # whatever the rate does, then
    return replace(
        config,
        trainer=trainer,
        learning_rate=ConstantRateConfig() if comes_later else rate,
        validation=replace(config.validation, every=updates),
        logger=NoLoggerConfig(),
        fresh=False,
    )


def _updates_in_all(config: Config, record: Record) -> int:
    """As training counts them, up to the rows by which epochs differ."""
    limits = [] if config.trainer.max_steps is None else [config.trainer.max_steps]
    batching = config.data.batching
    if config.trainer.max_epochs is not None and batching.unit is BatchUnit.sentences:
        limits.append(config.trainer.max_epochs * math.ceil(record.data["sizes"]["train"] / batching.size))
    if not limits:
        raise ConfigurationError(
            "how many batches of tokens an epoch has shows in training only; set trainer.max_steps."
        )
    return min(limits)
