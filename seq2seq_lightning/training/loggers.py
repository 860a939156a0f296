"""Where curves go: always `history.jsonl`, and by choice CSV, TensorBoard or Weights & Biases."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.experiments.files import append_jsonl, read_jsonl, write_text_durably
from seq2seq_lightning.experiments.record import HISTORY_NAME
from seq2seq_lightning.training.settings import (
    CSVLoggerConfig,
    LoggerConfig,
    TensorBoardLoggerConfig,
    WandbLoggerConfig,
)
from seq2seq_lightning.training.tracking import RunIdentity, start_tracking

_COLUMNS = ["global_step", "key", "value"]  # of history.csv
_REMEDY = "Delete that line, or the file, and repeat the command: the weights do not depend on it, only the curve does."


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
        try:
            kept = [entry for entry in read_jsonl(self.path) if int(entry["global_step"]) <= global_step]
        except (DataError, KeyError, TypeError, ValueError) as error:
            line = (
                str(error) if isinstance(error, DataError) else f"{self.path} is damaged: an entry has no global_step."
            )
            raise DataError(f"{line} {_REMEDY}") from error
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
                writer.writerow(_COLUMNS)
            writer.writerows([step, key, float(value)] for key, value in metrics.items())

    @rank_zero_only
    def rewind(self, global_step: int) -> None:
        """Drop what an interrupted run wrote after the checkpoint it resumes from."""
        if not self.path.exists():
            return
        with self.path.open(encoding="utf-8", newline="") as file:
            header, *rows = list(csv.reader(file)) or [_COLUMNS]
        try:
            kept = [header, *(row for row in rows if len(row) == 3 and int(row[0]) <= global_step)]
        except ValueError as error:
            raise DataError(f"{self.path} is damaged: {error}. {_REMEDY}") from error
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


def _wandb(config: WandbLoggerConfig, run: RunIdentity) -> list[Logger]:
    tracked = start_tracking(config, run)
    return [] if tracked is None else [WandbLogger(experiment=tracked)]
