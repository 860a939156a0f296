"""What happens beside the updates: saving, stopping, being interrupted, telling how far training is."""

from __future__ import annotations

import json
import resource
import signal
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, Checkpoint, TQDMProgressBar

from seq2seq_lightning.training.checkpoint_average import entries_to_average
from seq2seq_lightning.training.checkpoint_index import checkpoint_path, list_checkpoint, prune
from seq2seq_lightning.training.settings import CheckpointConfig
from seq2seq_lightning.training.validation import Validation


class Interrupted(Exception):
    """Training was asked to stop by a signal; everything up to now is saved."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signal_number).name} after saving a checkpoint")
        self.signal_number = signal_number


class Checkpoints(Checkpoint):
    """Saves `step-N.ckpt` every so many updates or minutes and after each validation; keeps the newest and the best.

    Lightning calls subclasses of Checkpoint last, so that the other callbacks' states are those after the validation.
    A save that a validation follows at the same update waits for it: the checkpoint then holds its outcome.
    """

    def __init__(self, folder: Path, config: CheckpointConfig, validation: Validation | None) -> None:
        self.folder = folder
        self.config = config
        self.validation = validation
        self._saved_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when it is time, between updates, unless a validation is about to."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches or self.waits(trainer, batch_idx):
            return
        last = trainer.global_step == trainer.max_steps
        if last or trainer.global_step % self.config.every == 0 or self._overdue(trainer):
            self.save(trainer)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The last update is validated too, wherever the interval falls: the best is chosen from all of training."""
        if self.validation is not None and batch_idx + 1 == trainer.max_steps * trainer.accumulate_grad_batches:
            trainer.val_check_batch = batch_idx + 1

    def waits(self, trainer: pl.Trainer, batch_idx: int) -> bool:
        """Whether a validation follows this update."""
        return self.validation is not None and (batch_idx + 1) % int(trainer.val_check_batch or 1) == 0

    def _overdue(self, trainer: pl.Trainer) -> bool:
        """Whether the last save is too long ago; the first rank decides for all."""
        overdue = time.monotonic() - self._saved_at > 60 * self.config.minutes
        if trainer.world_size == 1 or trainer.global_step % 50:
            return overdue and trainer.world_size == 1
        return bool(trainer.strategy.broadcast(overdue))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save, and remember the checkpoint if it is the best."""
        assert self.validation is not None
        self.save(trainer, float(trainer.callback_metrics[self.validation.config.monitor]))

    def save(self, trainer: pl.Trainer, score: float | None = None) -> None:
        """Write the checkpoint of this update durably, then the index, then remove what it does not name."""
        path = checkpoint_path(self.folder, trainer.global_step)
        trainer.save_checkpoint(path)
        self._saved_at = time.monotonic()
        if trainer.is_global_zero:
            mode = self.validation.mode if self.validation else "min"
            index = list_checkpoint(path, trainer.global_step, score, mode)
            wanted = entries_to_average(index, self.config, mode, ended=False)
            prune(self.folder, self.config.keep, also={entry.file for entry in wanted})


class EarlyStopping(Callback):
    """Ends training after so many validations without improvement; knows it again after a resume."""

    def __init__(self, patience: int, validation: Validation) -> None:
        self.patience = patience
        self.validation = validation
        self.best: float | None = None
        self.waited = 0

    def state_dict(self) -> dict[str, Any]:
        """The best value and how many validations ago it was."""
        return {"best": self.best, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue counting."""
        self.best, self.waited = state_dict["best"], state_dict["waited"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that was interrupted right after its last validation does not train on."""
        trainer.should_stop = trainer.should_stop or self.waited >= self.patience

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Count this validation."""
        score = float(trainer.callback_metrics[self.validation.config.monitor])
        if self.validation.better(score, self.best):
            self.best, self.waited = score, 0
        else:
            self.waited += 1
        trainer.should_stop = trainer.should_stop or self.waited >= self.patience


class Interruption(Callback):
    """On SIGTERM or Ctrl-C: all ranks save a checkpoint at the same update and raise Interrupted.

    Lightning's own handler runs collectives inside the signal handler, which can hang; ours only sets a flag.
    """

    def __init__(self, checkpoints: Checkpoints, every: int = 10) -> None:
        self.checkpoints = checkpoints
        self.every = every  # updates between two looks at the flags of all ranks
        self.received = 0

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take SIGTERM and SIGINT for the time of the training."""
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Replace the handlers that Lightning has just set."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._receive)

    def _receive(self, number: int, frame: Any) -> None:
        self.received = number

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the flag between updates; a validation that is due comes first."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches or self.checkpoints.waits(trainer, batch_idx):
            return
        number = self._seen(trainer)
        if number:
            self.checkpoints.save(trainer)
            raise Interrupted(number)

    def _seen(self, trainer: pl.Trainer) -> int:
        if trainer.world_size == 1:
            return self.received
        if trainer.global_step % self.every:
            return 0
        flag = torch.tensor(self.received, device=trainer.strategy.root_device)
        torch.distributed.all_reduce(flag, op=torch.distributed.ReduceOp.MAX)
        return int(flag)


class Measurements(Callback):
    """Counts what training cost: seconds without validation and saving, labels, padding; kept across resumes."""

    WINDOW = 10  # updates

    def __init__(self) -> None:
        self.totals = {"train_seconds": 0.0, "labels": 0, "positions": 0, "padding": 0, "updates": 0}
        self.windows: list[list[float]] = []  # [seconds, labels] of each so many updates, to tell how steady they are
        self._window_began: list[float] = [0.0, 0]  # seconds and labels before the window that is open
        self._clock: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """What was counted so far."""
        return {"totals": dict(self.totals), "windows": self.windows, "window_began": self._window_began}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.totals = dict(state_dict["totals"])
        self.windows, self._window_began = list(state_dict["windows"]), state_dict["window_began"]

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Start the clock."""
        if self._clock is None:
            self._clock = time.perf_counter()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the batch, from its CPU-side lengths."""
        real = int(batch.source_lengths.sum() + batch.target_lengths.sum())
        positions = batch.source.shape[0] * (batch.source.shape[1] + batch.target_inputs.shape[1])
        self.totals["positions"] += positions
        self.totals["padding"] += positions - real
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self.totals["labels"] += batch.label_count
            self.totals["updates"] += 1
            if self.totals["updates"] % self.WINDOW == 0:
                self._close_window()

    def _close_window(self) -> None:
        running = 0.0 if self._clock is None else time.perf_counter() - self._clock
        now = [self.totals["train_seconds"] + running, self.totals["labels"]]
        self.windows.append([end - began for end, began in zip(now, self._window_began, strict=True)])
        self._window_began = now

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation is not training time."""
        self._stop()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the clock."""
        self._stop()

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Bring the seconds up to date before they are saved."""
        self._stop()

    def _stop(self) -> None:
        if self._clock is not None:
            self.totals["train_seconds"] += time.perf_counter() - self._clock
            self._clock = None

    def timings(self) -> dict[str, float]:
        """What the record stores."""
        seconds = self.totals["train_seconds"]
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        values = {
            "train_seconds": round(seconds, 3),
            "updates": self.totals["updates"],
            "target_tokens": self.totals["labels"],
            "target_tokens_per_second": round(self.totals["labels"] / seconds, 1) if seconds else 0.0,
            "padding_share": round(self.totals["padding"] / max(self.totals["positions"], 1), 4),
            "peak_memory_bytes": peak,
        }
        if self.windows:
            rates = [labels / seconds for seconds, labels in self.windows[1:] or self.windows]  # the first is slow
            spread = {"median": statistics.median(rates), "min": min(rates), "max": max(rates)}
            values |= {f"target_tokens_per_second_{name}": round(rate, 1) for name, rate in spread.items()}
        if torch.cuda.is_available():
            values["peak_device_memory_bytes"] = torch.cuda.max_memory_allocated()
        return values


class Progress(Callback):
    """Writes `progress.json` about once a second, for whoever watches a run from outside."""

    def __init__(self, folder: Path, seconds: float = 1.0) -> None:
        self.folder = folder
        self.seconds = seconds
        self._written = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say how far training is."""
        now = time.monotonic()
        if trainer.is_global_zero and now - self._written >= self.seconds:
            self._written = now
            write_progress(self.folder, "training", trainer.global_step, trainer.max_steps)


def write_progress(folder: Path, stage: str, done: int, total: int) -> None:
    """`progress.json`: {"stage", "done", "total"}; replaced in one step, not forced to disk: nothing depends on it."""
    temporary = folder / ".progress.json.tmp"
    with suppress(OSError):  # a full disk is told by whatever must be written
        temporary.write_text(json.dumps({"stage": stage, "done": done, "total": total}), encoding="utf-8")
        temporary.replace(folder / "progress.json")


class ProgressBar(TQDMProgressBar):
    """One bar for the whole training, with the last logged loss and validation score beside it."""

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """The module's last logged values."""
        shown: Mapping[str, float] = getattr(pl_module, "shown", {})
        return {key: f"{value:.3f}" for key, value in shown.items()}
