"""Builds Lightning's Trainer from settings, and runs it."""

from __future__ import annotations

import datetime
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.environments import LightningEnvironment, SLURMEnvironment, TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy

from seq2seq_lightning import crash_points
from seq2seq_lightning.errors import ConfigurationError, nearest
from seq2seq_lightning.experiments.files import write_json_durably
from seq2seq_lightning.training.arithmetic import set_matmul_precision
from seq2seq_lightning.training.callbacks import (
    Checkpoints,
    EarlyStopping,
    Interrupted,
    Interruption,
    Measurements,
    Progress,
    ProgressBar,
)
from seq2seq_lightning.training.checkpoint_average import average_checkpoints
from seq2seq_lightning.training.checkpoint_index import read_index
from seq2seq_lightning.training.checkpoint_io import DurableCheckpointIO
from seq2seq_lightning.training.crash_callback import CrashPoints
from seq2seq_lightning.training.datamodule import Seq2SeqDataModule
from seq2seq_lightning.training.devices import device_named
from seq2seq_lightning.training.loggers import CSVLogger, HistoryLogger
from seq2seq_lightning.training.module import TrainingModule
from seq2seq_lightning.training.moving_average import MovingAverage
from seq2seq_lightning.training.resuming import FITTED
from seq2seq_lightning.training.settings import RESERVED_TRAINER_ARGUMENTS, CheckpointConfig, TrainerConfig

WINDOWS = "windows.json"  # beside `fitted.json`: seconds and labels of each ten updates


def prepare_process(config: TrainerConfig, width: int) -> None:
    """Set what belongs to the whole process: threads, matrix products, determinism.

    width: the units of the model's widest layer.
    """
    if config.precision == "16-mixed" and device_named(config.accelerator).type == "cpu":
        raise ConfigurationError("trainer.precision=16-mixed needs a GPU. Set trainer.precision=bf16-mixed on a CPU.")
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    set_matmul_precision(config.matmul_precision, width, device_named(config.accelerator))
    if config.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def fit(
    module: TrainingModule,
    data: Seq2SeqDataModule,
    config: TrainerConfig,
    checkpoint: CheckpointConfig,
    folder: Path,
    loggers: list,
    newest: Path | None = None,
) -> dict[str, float]:
    """Train to the end, from the checkpoint `newest` if there is one; returns the timings.

    Raises Interrupted when a signal asked to stop; everything up to then is saved.
    """
    validation = module.validation
    checkpoints = Checkpoints(folder / "checkpoints", checkpoint, validation)
    measurements = Measurements()
    interruption = Interruption(checkpoints)
    ema = module.recipe.optimizer.ema
    averaging = [] if ema is None else [MovingAverage(ema)]  # before whatever saves
    callbacks: list[Callback] = [*averaging, measurements, Progress(folder), interruption, checkpoints]
    if validation is not None and validation.config.patience is not None:
        callbacks.append(EarlyStopping(validation.config.patience, validation))
    if config.progress and sys.stderr.isatty():
        callbacks.append(ProgressBar())
    if crash_points.is_armed():
        callbacks.append(CrashPoints())
    for logger in loggers:
        if isinstance(logger, HistoryLogger | CSVLogger):
            logger.rewind(0 if newest is None else int(newest.stem.removeprefix("step-")))
    with quiet(), interruption.listening():
        trainer = _build(module, config, callbacks, folder, loggers)
        trainer.fit(module, data, ckpt_path=newest, weights_only=True)
    timings = measurements.timings() | _best(folder / "checkpoints")
    if trainer.is_global_zero:
        average_checkpoints(folder / "checkpoints", checkpoint, "min" if validation is None else validation.mode)
        write_json_durably(folder / WINDOWS, measurements.windows)
        write_json_durably(folder / FITTED, timings)
    if interruption.received:
        raise Interrupted(interruption.received)
    return timings


@contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's words on devices, loaders and products: what there is to say stands in the record.

    And without the warning that torch 2.13 gives of Lightning's own use of it.
    """
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*", category=FutureWarning)
        # scores of a validation are equal on all ranks when they are logged, and buffers are not to be copied
        warnings.filterwarnings("ignore", message=".*recommended to use .self.log.*sync_dist=True.*")
        warnings.filterwarnings("ignore", message=".broadcast_buffers. is deprecated.*")
        try:
            for logger in loggers:
                logger.setLevel(logging.WARNING)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _best(checkpoints: Path) -> dict[str, float]:
    """The monitored score of the best checkpoint, where there was a validation: what sweepers optimise."""
    index = read_index(checkpoints)
    scores = [entry.score for entry in index.kept if entry.file == index.best and entry.score is not None]
    return {"best_score": scores[0]} if scores else {}


def _build(
    module: TrainingModule, config: TrainerConfig, callbacks: list[Callback], folder: Path, loggers: list
) -> pl.Trainer:
    validation = module.validation
    every = None
    if validation is not None:
        every = min(validation.config.every or module.recipe.updates_per_epoch, module.recipe.total_updates)
    bar = any(isinstance(callback, ProgressBar) for callback in callbacks)
    return pl.Trainer(
        accelerator=_accelerator(config),
        devices=config.devices,
        num_nodes=config.nodes,
        strategy=_strategy(config) if config.world_size > 1 else "auto",
        plugins=[DurableCheckpointIO(), _environment()],
        precision=_lightning_precision(config),  # type: ignore[arg-type]
        deterministic=config.deterministic,
        max_steps=module.recipe.total_updates,
        max_epochs=-1,
        accumulate_grad_batches=config.accumulate,
        val_check_interval=every * config.accumulate if every else 1.0,
        check_val_every_n_epoch=None if every else 1,
        limit_val_batches=1.0 if every else 0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=True,
        enable_progress_bar=bar,
        enable_model_summary=False,
        callbacks=callbacks,
        logger=loggers,
        log_every_n_steps=0,  # never: the module writes its own entries, at trainer.log_every
        default_root_dir=folder,
        **_further(config),
    )


def _further(config: TrainerConfig) -> dict[str, Any]:
    """What `trainer.extra` adds; only Lightning knows what it takes."""
    known = set(inspect.signature(pl.Trainer).parameters) - set(RESERVED_TRAINER_ARGUMENTS)
    for name in config.extra:
        if name not in known:
            raise ConfigurationError(
                f"trainer.extra.{name} is no argument of Lightning's Trainer. {nearest(name, known)}"
            )
    return config.extra


def _accelerator(config: TrainerConfig) -> str:
    return "gpu" if device_named(config.accelerator).type == "cuda" else "cpu"


def _lightning_precision(config: TrainerConfig) -> str:
    """What Lightning has to do: for 64-true nothing, as the model has float64 weights and batches hold ids."""
    return "32-true" if config.precision == "64-true" else config.precision


def _strategy(config: TrainerConfig) -> DDPStrategy:
    """Gloo between CPU processes, NCCL between GPUs; a dead rank ends the job in minutes, not half an hour."""
    backend = "nccl" if _accelerator(config) == "gpu" else "gloo"
    timeout = datetime.timedelta(minutes=config.timeout_minutes)
    return DDPStrategy(process_group_backend=backend, timeout=timeout, broadcast_buffers=False)


def _environment() -> LightningEnvironment | SLURMEnvironment | TorchElasticEnvironment:
    """torchrun's ranks when started by it; on Slurm, requeueing is the launcher's business."""
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    if SLURMEnvironment.detect():
        return SLURMEnvironment(auto_requeue=False)
    return LightningEnvironment()
