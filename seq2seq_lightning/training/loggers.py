"""Where curves go: always `history.jsonl`, and by choice CSV, TensorBoard or Weights & Biases."""

from __future__ import annotations

import csv
import json
import os
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.files import append_jsonl, read_jsonl, write_text_durably
from seq2seq_lightning.experiments.record import HISTORY_NAME
from seq2seq_lightning.training.settings import (
    CSVLoggerConfig,
    LoggerConfig,
    TensorBoardLoggerConfig,
    WandbLoggerConfig,
    WandbMode,
)


@dataclass(frozen=True)
class RunIdentity:
    """What a tracker is told about a run."""

    directory: Path
    name: str
    fingerprint: str
    config: Mapping[str, Any]
    overrides: Sequence[str]
    group: str | None
    monitor: str | None  # the key whose best value is the run's summary
    mode: str  # min or max


class _FileLogger(Logger):
    """A logger that appends to one file of the run directory."""

    filename: str

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.path = directory / self.filename

    @property
    def name(self) -> str:
        return self.filename

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing: the run directory holds the configuration."""


class HistoryLogger(_FileLogger):
    """`history.jsonl`: one line per entry, {"global_step", "key", "value"}; global_step counts updates."""

    filename = HISTORY_NAME

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append the entries."""
        rows = [{"global_step": step, "key": key, "value": float(value)} for key, value in metrics.items()]
        append_jsonl(self.path, *rows)

    @rank_zero_only
    def rewind(self, global_step: int) -> None:
        """Drop what an interrupted run wrote after the checkpoint it resumes from."""
        if not self.path.exists():
            return
        kept = [entry for entry in read_jsonl(self.path) if entry["global_step"] <= global_step]
        write_text_durably(self.path, "".join(f"{json.dumps(entry)}\n" for entry in kept))


class CSVLogger(_FileLogger):
    """`history.csv`: the same entries as rows `global_step,key,value`, for spreadsheets."""

    filename = "history.csv"

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append the entries, below one header."""
        new = not self.path.exists()
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["global_step", "key", "value"])
            writer.writerows([step, key, float(value)] for key, value in metrics.items())

    @rank_zero_only
    def rewind(self, global_step: int) -> None:
        """Drop what an interrupted run wrote after the checkpoint it resumes from."""
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        kept = [header, *(row for row in rows if len(row) == 3 and int(row[0]) <= global_step)]
        write_text_durably(self.path, "".join(",".join(row) + "\n" for row in kept))


def build_loggers(config: LoggerConfig, run: RunIdentity) -> list[Logger]:
    """The history, then the tracker asked for."""
    loggers: list[Logger] = [HistoryLogger(run.directory)]
    if isinstance(config, CSVLoggerConfig):
        loggers.append(CSVLogger(run.directory))
    elif isinstance(config, TensorBoardLoggerConfig):
        loggers.append(_tensorboard(run))
    elif isinstance(config, WandbLoggerConfig):
        loggers += _wandb(config, run)
    return loggers


def _tensorboard(run: RunIdentity) -> Logger:
    try:
        return TensorBoardLogger(save_dir=str(run.directory), name="tensorboard", version="")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "logger=tensorboard needs the extra: pip install 'seq2seq-lightning[tensorboard]'."
        ) from error


@rank_zero_only
def _start_wandb(config: WandbLoggerConfig, run: RunIdentity) -> Any:
    """Start (or continue) the tracked run; offline where no key is configured or the server does not answer."""
    online = config.mode is WandbMode.online or (config.mode is WandbMode.auto and _has_key())
    arguments: dict[str, Any] = {
        "project": config.project,
        "entity": config.entity,
        "id": run.fingerprint,
        "name": run.name,
        "group": run.group,
        "job_type": "train",
        "tags": [tag[:64] for tag in (*config.tags, *run.overrides)],
        "config": dict(run.config),
        "dir": str(run.directory),
        "resume": "allow",
    }
    settings = wandb.Settings(console="off", silent=True, disable_git=True)
    try:
        tracked = wandb.init(mode="online" if online else "offline", settings=settings, **arguments)
    except Exception as error:
        warnings.warn(f"Weights & Biases could not be reached ({error}); tracking offline.", stacklevel=2)
        tracked = wandb.init(mode="offline", settings=settings, **arguments)
    if run.monitor is not None:
        tracked.define_metric("trainer/global_step")
        tracked.define_metric("*", step_metric="trainer/global_step")
        tracked.define_metric(run.monitor, summary=run.mode, step_metric="trainer/global_step")
    return tracked


def _wandb(config: WandbLoggerConfig, run: RunIdentity) -> list[Logger]:
    tracked = _start_wandb(config, run)
    return [] if tracked is None else [WandbLogger(experiment=tracked)]


def _has_key() -> bool:
    """Whether an API key is configured, by environment or by `wandb login`."""
    if os.environ.get("WANDB_MODE", "online") != "online":
        return False
    if os.environ.get("WANDB_API_KEY"):
        return True
    wandb.setup(settings=wandb.Settings(silent=True))
    try:
        return wandb.login(prompt=False, verify=False)
    except wandb.Error:  # what is configured is no key
        return False


def log_scores(scores: Mapping[str, float], samples: Sequence[Sequence[str]] = ()) -> None:
    """Put final scores, and a table of (source, reference, hypothesis), into the tracked run, if there is one."""
    if wandb.run is None:
        return
    wandb.run.summary.update(dict(scores))
    if samples:
        table = wandb.Table(columns=["source", "reference", "hypothesis"], data=[list(row) for row in samples])
        wandb.run.log({"samples": table})


def finish_tracking(exit_code: int) -> None:
    """End the tracked run, after failures too, so that nothing later logs into it."""
    if wandb.run is not None:
        wandb.run.finish(exit_code=exit_code)
