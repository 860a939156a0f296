"""Where a training stands when its processes start: which checkpoint it goes on from, or that it came to its end."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seq2seq_lightning.errors import DataError
from seq2seq_lightning.experiments.files import read_json
from seq2seq_lightning.training.checkpoint_index import INDEX_NAME, best_checkpoint, last_checkpoint
from seq2seq_lightning.training.extending import begin_from_extended
from seq2seq_lightning.training.ranks import text_from_first_rank

FITTED = "fitted.json"  # in the run directory once training came to its end: the timings


@dataclass(frozen=True)
class Standing:
    """checkpoint: to resume from; None: training begins. timings: of a training that came to its end."""

    checkpoint: Path | None
    timings: dict[str, Any] | None


def standing(folder: Path, extend: str | None = None) -> Standing:
    """How far the training of this run directory is, as the first rank sees it: it alone changes what is looked at.

    extend: the run that one which has not begun goes on from.
    """
    told = json.loads(text_from_first_rank("where does training stand?", lambda: json.dumps(_look(folder, extend))))
    name = told["checkpoint"]
    return Standing(None if name is None else folder / "checkpoints" / name, told["timings"])


def _look(folder: Path, extend: str | None) -> dict[str, Any]:
    if extend is not None and not (folder / "checkpoints" / INDEX_NAME).exists():
        begin_from_extended(extend, folder)
    newest = last_checkpoint(folder / "checkpoints")
    return {"checkpoint": None if newest is None else newest.name, "timings": _timings(folder)}


def _timings(folder: Path) -> dict[str, Any] | None:
    """Of a training that came to its end and left what is scored, or nothing because it was scored."""
    if not (folder / FITTED).exists() or not (folder / "checkpoints" / INDEX_NAME).exists():
        return None
    best = best_checkpoint(folder / "checkpoints")
    if best is not None and not best.exists():  # deleted, as one does with a damaged one: it is made again
        return None
    try:
        return dict(read_json(folder / FITTED))
    except (DataError, TypeError, ValueError) as error:
        raise DataError(f"{error} Delete {folder / FITTED} and repeat the command, which makes it again.") from error
