"""What a search over settings remembers and is scored by: proposals in a file, and validation scores of records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2seq_lightning.commands.processes import objective
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.files import append_jsonl, read_jsonl
from seq2seq_lightning.experiments.fingerprint import fingerprint as hash_parts
from seq2seq_lightning.experiments.ledger import State, state_of
from seq2seq_lightning.job import Job
from seq2seq_lightning.metrics import higher_is_better

# what leaves the score as it is, and what changes how it is measured
IDLE = ("decoding", "metrics", "logger", "paths", "checkpoint", "name", "group", "fresh")
MEASURE = ("validation",)


@dataclass
class Search:
    """The proposals of one search, in the order in which they were made.

    path: a file of their own for each set of ranges, fixed values and sampler, beside the runs.
    """

    path: Path
    monitor: str
    stored: list[dict[str, Any]]

    @staticmethod
    def of(folder: Path, what: dict[str, Any], monitor: str) -> Search:
        """The search for this, with what was proposed before."""
        path = folder / f"proposals-{hash_parts(what)}.jsonl"
        return Search(path, monitor, read_jsonl(path))

    @property
    def direction(self) -> str:
        """Where the monitored score should go, in Optuna's words."""
        name = self.monitor.removeprefix("val/")
        up = name == "teacher_forced_accuracy" or higher_is_better(name)
        return "maximize" if up else "minimize"

    def store(self, values: dict[str, Any]) -> None:
        """Remember a proposal, before it is run."""
        append_jsonl(self.path, values)
        self.stored.append(dict(values))


def refuse_idle_axes(keys: Iterable[str]) -> None:
    """A search is scored by `validation.monitor`: refuse ranges that cannot change it, or that change the measure."""
    keys = list(keys)
    if not keys:
        raise ConfigurationError(
            "hydra/sweeper=optuna was given no range to search. Add one, such as "
            "'optimizer.learning_rate=interval(0.0001,0.01)'."
        )
    for key in keys:
        first = key.lstrip("+~").split("@")[0].split(".")[0].split("/")[0]
        if first in IDLE:
            raise ConfigurationError(
                f"hydra/sweeper=optuna cannot search over {key}: it does not change the validation score. Leave out "
                "the range, or sweep over it without hydra/sweeper=optuna."
            )
        if first in MEASURE:
            raise ConfigurationError(
                f"hydra/sweeper=optuna cannot search over {key}: proposals must be scored alike. Give one value."
            )


def validation_scores(jobs: Sequence[Job]) -> list[float | None]:
    """The best monitored score of each finished job, None for the others. Refuses runs without validation."""
    scores = [objective(job) if state_of(job.folder).state is State.finished else None for job in jobs]
    for job, score in zip(jobs, scores, strict=True):
        if score is None and state_of(job.folder).state is State.finished:
            raise ConfigurationError(
                f"{job.folder} has no validation score to search by. Give the data a validation split; test scores "
                "are never searched by."
            )
    return scores
