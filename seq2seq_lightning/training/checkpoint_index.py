"""Which checkpoints a run keeps: ``index.json`` {last, best, kept}, replaced as a whole and always behind the files."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path

from seq2seq_lightning.errors import CheckpointError, DataError
from seq2seq_lightning.experiments.files import read_json, write_json_durably

INDEX_NAME = "index.json"


@dataclass(frozen=True)
class CheckpointEntry:
    """A kept file of the folder, the updates done when it was written, and the monitored score if it was taken then."""

    file: str
    global_step: int
    score: float | None = None


@dataclass(frozen=True)
class CheckpointIndex:
    """The files to resume from and to decode with, and all that are kept, oldest first."""

    last: str | None = None
    best: str | None = None
    kept: list[CheckpointEntry] = field(default_factory=list)


def checkpoint_path(folder: Path, global_step: int) -> Path:
    """Where the checkpoint of an update stands."""
    return Path(folder) / f"step-{global_step}.ckpt"


def read_index(folder: Path) -> CheckpointIndex:
    """The index of a folder; empty before the first checkpoint."""
    path = Path(folder) / INDEX_NAME
    if not path.exists():
        return CheckpointIndex()
    try:
        plain = read_json(path)
        kept = [CheckpointEntry(**entry) for entry in plain["kept"]]
        return CheckpointIndex(plain["last"], plain["best"], kept)
    except (DataError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is damaged ({error}). Delete it to start this run afresh, or write it anew: "
            '{"last": "step-N.ckpt", "best": "step-N.ckpt", "kept": [{"file": "step-N.ckpt", "global_step": N}]}.'
        ) from error


def write_index(folder: Path, index: CheckpointIndex) -> None:
    """Replace the index of a folder, whole or not at all."""
    write_json_durably(Path(folder) / INDEX_NAME, dataclasses.asdict(index))


def list_checkpoint(path: Path, global_step: int, score: float | None = None, mode: str = "min") -> CheckpointIndex:
    """Enter a checkpoint, just written, in the index of its folder: it is the last, and the best if its score says so.

    score: of ``validation.monitor``, or None if it was not taken; mode: ``min`` or ``max``, how it improves. Without
    any score the best is the last. Entries after this step come from a future that was given up, and leave the index.
    """
    path = Path(path)
    before = read_index(path.parent).kept
    if score is None:
        score = next((entry.score for entry in before if entry.global_step == global_step), None)
    entry = CheckpointEntry(path.name, global_step, score if score is None or math.isfinite(score) else None)
    index = _index_of([*(entry for entry in before if entry.global_step < global_step), entry], mode)
    write_index(path.parent, index)
    return index


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint: where training resumes."""
    last = read_index(folder).last
    return None if last is None else Path(folder) / last


def best_checkpoint(folder: Path) -> Path | None:
    """The checkpoint with the best validation score: what is decoded with. Without validation, the last."""
    best = read_index(folder).best
    return None if best is None else Path(folder) / best


def earlier_checkpoints(path: Path) -> list[Path]:
    """The kept checkpoints of the same folder that are older than ``path`` and exist, newest first."""
    path = Path(path)
    names = [entry.file for entry in read_index(path.parent).kept]
    older = names[: names.index(path.name)] if path.name in names else names
    return [path.parent / name for name in reversed(older) if (path.parent / name).exists()]


def prune(folder: Path, keep: int = 1) -> list[Path]:
    """Delete all checkpoints but the newest ``keep`` and the best, with what a kill left unlisted or half-written.

    The index is replaced first, so that it never names a file that is gone. Returns what was deleted.
    """
    folder = Path(folder)
    index = read_index(folder)
    newest = {entry.file for entry in index.kept[-keep:]} if keep else set()
    names = newest | {name for name in (index.last, index.best) if name is not None}
    kept = [entry for entry in index.kept if entry.file in names]
    if kept != index.kept:
        write_index(folder, dataclasses.replace(index, kept=kept))
    doomed = [path for path in folder.glob("step-*.ckpt") if path.name not in names]
    doomed += list(folder.glob(".step-*.ckpt.*.tmp"))
    for path in doomed:
        path.unlink(missing_ok=True)
    return sorted(doomed)


def _index_of(kept: list[CheckpointEntry], mode: str) -> CheckpointIndex:
    """Last and best of the entries; the earlier of two equal scores is the better one."""
    scored = [(entry.score, entry) for entry in kept if entry.score is not None]
    sign = {"min": 1.0, "max": -1.0}[mode]
    best = min(scored, key=lambda pair: sign * pair[0])[1] if scored else kept[-1]
    return CheckpointIndex(kept[-1].file, best.file, kept)
