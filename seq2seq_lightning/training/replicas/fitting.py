"""Runs the training of several replicas in one Trainer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import Logger

from seq2seq_lightning.experiments.files import write_json_durably
from seq2seq_lightning.training.callbacks import Interrupted, Interruption, Progress, ProgressBar
from seq2seq_lightning.training.checkpoint_average import average_checkpoints
from seq2seq_lightning.training.checkpoint_index import checkpoint_path
from seq2seq_lightning.training.loggers import CSVLogger, HistoryLogger
from seq2seq_lightning.training.module import TrainingModule
from seq2seq_lightning.training.replicas.checkpoints import ReplicaCheckpointIO, ReplicaCheckpoints, common_step
from seq2seq_lightning.training.replicas.data import ReplicaLoader
from seq2seq_lightning.training.replicas.measurements import ReplicaMeasurements
from seq2seq_lightning.training.replicas.module import ReplicaModule
from seq2seq_lightning.training.resuming import FITTED
from seq2seq_lightning.training.settings import CheckpointConfig, TrainerConfig
from seq2seq_lightning.training.trainer import WINDOWS, quiet

REPLICAS = "replicas"  # in `fitted.json`: the seeds that were trained together


def fit_together(
    modules: Sequence[TrainingModule],
    loader: ReplicaLoader,
    config: TrainerConfig,
    checkpoint: CheckpointConfig,
    folders: Sequence[Path],
    loggers: Sequence[Sequence[Logger]],
) -> None:
    """Train to the end, from the newest update of which all have a checkpoint; leaves what each alone would leave.

    Raises Interrupted when a signal asked to stop; everything up to then is saved.
    """
    saved = [folder / "checkpoints" for folder in folders]
    module = ReplicaModule(modules, loggers)
    checkpoints, measurements = ReplicaCheckpoints(saved, checkpoint), ReplicaMeasurements(len(folders))
    interruption = Interruption(checkpoints)
    callbacks: list[Callback] = [measurements, *(Progress(each) for each in folders), interruption, checkpoints]
    if config.progress and sys.stderr.isatty():
        callbacks.append(ProgressBar())
    begun = common_step(saved)
    for logger in (each for its in loggers for each in its):
        if isinstance(logger, HistoryLogger | CSVLogger):
            logger.rewind(begun or 0)
    with quiet(), interruption.listening():
        trainer = _trainer(module, config, callbacks, folders[0], ReplicaCheckpointIO(module, saved))
        newest = None if begun is None else checkpoint_path(saved[0], begun)
        trainer.fit(module, loader, ckpt_path=newest, weights_only=True)
    for folder, (timings, windows) in zip(folders, measurements.of_each(), strict=True):
        average_checkpoints(folder / "checkpoints", checkpoint, "min")
        write_json_durably(folder / WINDOWS, windows)
        write_json_durably(folder / FITTED, timings | {REPLICAS: module.seeds})
    for logger in (each for its in loggers for each in its):
        logger.finalize("success")
    if interruption.received:
        raise Interrupted(interruption.received)


def _trainer(
    module: ReplicaModule, config: TrainerConfig, callbacks: list[Callback], folder: Path, io: ReplicaCheckpointIO
) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        plugins=[io],
        max_steps=module.recipe.total_updates,
        max_epochs=-1,
        limit_val_batches=0,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_checkpointing=True,
        enable_progress_bar=any(isinstance(callback, ProgressBar) for callback in callbacks),
        enable_model_summary=False,
        callbacks=callbacks,
        logger=False,
        deterministic=config.deterministic,
        default_root_dir=folder,
    )
