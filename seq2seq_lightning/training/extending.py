"""A finished run trained on for longer (`extend`): its kept checkpoints, with all their states, begin the new run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.files import replacing
from seq2seq_lightning.experiments.record import HISTORY_NAME, Record, read_record
from seq2seq_lightning.training.checkpoint_index import CheckpointIndex, last_checkpoint, read_index, write_index
from seq2seq_lightning.training.checkpoints import Checkpoint, read_checkpoint
from seq2seq_lightning.training.pretrained_embeddings import FILE_NAME as EMBEDDINGS


def extended_record(extend: str, max_steps: int | None) -> Record:
    """The record of the run that is extended; refused unless it is finished and shorter than what is asked for now."""
    run_dir = Path(extend)
    if not run_dir.is_dir():
        raise ConfigurationError(f"extend={extend} is not the directory of a run. Give runs/<name>/<fingerprint>.")
    record = read_record(run_dir)
    if record.status != "completed":
        raise ConfigurationError(f"extend={extend} is {record.status}. Finish it with the command that began it.")
    made = record.timings.get("updates", 0)
    if max_steps is not None and max_steps <= made:
        raise ConfigurationError(
            f"extend={extend} has made {made} updates, and trainer.max_steps={max_steps} asks for no more. "
            f"Set trainer.max_steps above {made}."
        )
    return record


def begin_from_extended(extend: str, folder: Path) -> None:
    """Put the checkpoints, the history and the index of the extended run into a new run directory.

    The index comes last: until it is there the training has not begun, and after a kill this is done again.
    """
    source = Path(extend) / "checkpoints"
    _last_state(extend)
    index = read_index(source)
    kept = [entry for entry in index.kept if (source / entry.file).exists()]
    for entry in kept:
        _copy(source / entry.file, folder / "checkpoints" / entry.file)
    for name in (HISTORY_NAME, EMBEDDINGS):
        if (Path(extend) / name).exists():
            _copy(Path(extend) / name, folder / name)
    write_index(folder / "checkpoints", CheckpointIndex(index.last, index.best, kept))


def describe_extended(extend: str | None) -> dict[str, Any]:
    """What the record says of the run that was extended: where it lies, its fingerprint, its updates."""
    if extend is None:
        return {}
    record = read_record(Path(extend))
    return {"extends": extend, "fingerprint": record.fingerprint, "global_step": record.timings.get("updates")}


def _last_state(extend: str) -> Checkpoint:
    """The newest checkpoint, which must hold what training needs, and an early stopping that has not stopped."""
    newest = last_checkpoint(Path(extend) / "checkpoints")
    checkpoint = None if newest is None else read_checkpoint(newest)
    if checkpoint is None or not checkpoint.can_be_resumed:
        raise ConfigurationError(
            f"extend={extend} has kept no checkpoint with the optimiser's state. Train it with "
            "checkpoint.after_scoring=keep_all, or take its weights alone by init_from."
        )
    stopping = checkpoint.training.get("callbacks", {}).get("EarlyStopping", {})
    patience = checkpoint.config.get("validation", {}).get("patience")
    if patience is not None and stopping.get("waited", 0) >= patience:
        raise ConfigurationError(
            f"extend={extend} was ended by early stopping (validation.patience={patience}) after "
            f"{checkpoint.global_step} updates, and would be ended there again. Take its weights by init_from, or "
            "train anew with more patience."
        )
    return checkpoint


def _copy(path: Path, to: Path) -> None:
    with path.open("rb") as source, replacing(to) as target:
        shutil.copyfileobj(source, target)
