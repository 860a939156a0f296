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
from seq2seq_lightning.replica_rules import replica_problems
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
    """Seconds that one more training of a cell takes, how that is known, and how many are missing.

    together: how many are trained at once in one process, of whose seconds each has its share.
    """

    name: str
    missing: int
    seconds: float | None
    source: str
    together: int = 1

    def __str__(self) -> str:
        each = "     ?" if self.seconds is None else f"{self.seconds / 3600:6.2f}"
        return f"{each} h  x {self.missing:<3} {self.name}  ({self.source})"


def forecast(trained: Sequence[Trained], profile: int, replicas: int = 1) -> list[CellCost]:
    """The cost of each cell of which trainings are missing.

    profile: updates of a look; 0: none. replicas: how many seeds are trained at once where that is possible.
    """
    cells: dict[str, list[Trained]] = {}
    for each in trained:
        cells.setdefault(cell_of(each.job), []).append(each)
    return [_cost(members, profile, replicas) for members in cells.values() if any(each.missing for each in members)]


def told(costs: Sequence[CellCost], at_once: int) -> list[str]:
    """The forecast in words, one line for each cell, then the sum."""
    known = [each for each in costs if each.seconds is not None]
    hours = sum((each.seconds or 0.0) * each.missing for each in known) / 3600
    count = sum(each.missing for each in costs)
    longest = max(((each.seconds or 0.0) * each.together / 3600 for each in known), default=0.0)
    parallel = f", {max(hours / at_once, longest):.2f} h with {at_once} at once" if at_once > 1 else ""
    unknown = sum(each.missing for each in costs) - sum(each.missing for each in known)
    without = f"; without {unknown} of unknown cost" if unknown else ""
    return [*map(str, costs), f"forecast: {hours:.2f} h for {count} trainings{parallel}{without}"]


def cell_of(job: Job) -> str:
    """Equal for trainings that differ in the seed only."""
    return hash_parts({key: value for key, value in job.config.items() if key not in APART})


def _cost(members: Sequence[Trained], profile: int, replicas: int) -> CellCost:
    jobs = [each.job for each in members if each.missing]
    name, missing, together = members[0].name, len(jobs), _at_once(jobs[0], min(replicas, len(jobs)))
    company = f", {together} seeds at once" if together > 1 else ""
    runs = _finished(members)
    if together in runs:
        seconds, count = runs[together]
        told = f"{count} finished run{'s' if count > 1 else ''}{company}"
        return CellCost(name, missing, seconds, told, together)
    group = [share_threads(job) for job in jobs[:together]]
    path = Path(group[0].config["paths"]["runs"]) / FOLDER / f"{_key(group)}.json"
    try:
        looked = read_json(path) if path.exists() else _look(group, profile) if profile else {}
    except (UserError, JobFailed) as error:
        return CellCost(name, missing, None, f"unknown: {error}")
    if not looked:
        return CellCost(name, missing, None, f"unknown: no run of this cell is finished{company}")
    write_json_durably(path, looked)
    total = looked["updates_in_all"]
    seconds_in_all = looked["overhead_seconds"] + total * looked["seconds_per_update"]
    told = f"{looked['updates']} of {total} updates timed{company}"
    return CellCost(name, missing, seconds_in_all / together, told, together)


def _at_once(job: Job, most: int) -> int:
    """How many seeds of this job are trained in one process."""
    return 1 if most == 1 or replica_problems(Config.from_plain(job.config)) else most


def _finished(members: Sequence[Trained]) -> dict[int, tuple[float, int]]:
    """By how many seeds were trained at once: the mean share of one in the seconds of all, and the runs it is of."""
    groups: dict[int, dict[tuple[int, ...], list[float]]] = {}
    for job in (each.job for each in members):
        run = state_of(job.folder)
        if run.state is State.finished and run.record is not None:
            seeds = tuple(run.record.timings.get("replicas", [job.config["seed"]]))
            groups.setdefault(len(seeds), {}).setdefault(seeds, []).append(_spent(run.record))
    return {
        count: (statistics.mean(max(each) / count for each in its.values()), sum(len(each) for each in its.values()))
        for count, its in groups.items()
    }


def _spent(record: Record) -> float:
    """Seconds of a finished run: of its last attempt, or of all its updates where it was resumed."""
    wall = 0.0
    if record.started and record.finished:
        wall = (datetime.fromisoformat(record.finished) - datetime.fromisoformat(record.started)).total_seconds()
    return max(wall, record.timings.get("train_seconds", 0.0))


def _key(group: Sequence[Job]) -> str:
    where = {"threads": group[0].config["trainer"]["threads"], "host": platform.node()}
    company = {"replicas": len(group)} if len(group) > 1 else {}
    return hash_parts({"cell": cell_of(group[0])} | where | company)


# -- a look ------------------------------------------------------------------------------------------------------------


def _look(group: Sequence[Job], updates: int) -> dict[str, Any]:
    """Train a few updates of these seeds at once and validate once; the first ten updates are the warm-up."""
    config = Config.from_plain(group[0].config)
    began = time.monotonic()
    with TemporaryDirectory(prefix="seq2seq-forecast-") as folder:
        looks = [_looking(job, updates, Path(folder) / str(place)) for place, job in enumerate(group)]
        run_in_own_tree(replace(looks[0], together=[str(each.write()) for each in looks[1:]]))
        record = read_record(looks[0].folder)
        windows = read_json(looks[0].folder / "windows.json")
    per_update = statistics.median(seconds for seconds, _ in windows[1:] or windows) / 10
    return {
        "updates": updates,
        "updates_in_all": _updates_in_all(config, record),
        "seconds_per_update": per_update,
        "overhead_seconds": time.monotonic() - began - record.timings["train_seconds"],
    }


def _looking(job: Job, updates: int, folder: Path) -> Job:
    config = _short(Config.from_plain(job.config), updates)
    return replace(job, run_dir=str(folder), config=config.to_plain(), test_sets=[])


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
