"""Which checkpoints a run keeps: ``index.json`` {last, best, kept}, replaced as a whole and always behind the files.

With `checkpoint.average` it also has {average} from the end of training on.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seq2seq_lightning.crash_points import crash_point
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
class AverageEntry:
    """The file that holds a mean of checkpoints, and the updates after which those were written."""

    file: str
    global_steps: list[int]


@dataclass(frozen=True)
class CheckpointIndex:
    """The files to resume from and to decode with, and all that are kept, oldest first."""

    last: str | None = None
    best: str | None = None
    kept: list[CheckpointEntry] = field(default_factory=list)
    average: AverageEntry | None = None  # where there is one, it is decoded with instead of the best


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
        average = AverageEntry(**plain["average"]) if "average" in plain else None
        _check_files([plain["last"], plain["best"]], [*kept, *([] if average is None else [average])])
        return CheckpointIndex(plain["last"], plain["best"], kept, average)
    except (DataError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is damaged ({error}). Delete it to start this run afresh, or write it anew: "
            '{"last": "step-N.ckpt", "best": "step-N.ckpt", "kept": [{"file": "step-N.ckpt", "global_step": N}]}.'
        ) from error


def _check_files(named: list[Any], entries: list[Any]) -> None:
    """A checkpoint lies in the folder of its index, whoever wrote the index."""
    for name in [*(each for each in named if each is not None), *(entry.file for entry in entries)]:
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".ckpt"):
            raise ValueError(f"it names {name!r}, which is no checkpoint of this folder")


def write_index(folder: Path, index: CheckpointIndex) -> None:
    """Replace the index of a folder, whole or not at all."""
    plain = dataclasses.asdict(index)
    if index.average is None:
        del plain["average"]
    write_json_durably(Path(folder) / INDEX_NAME, plain)


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
    """Where training resumes: the newest checkpoint.

    Where the last or the best was deleted, as one does with a damaged one, it is the newest that is older than both,
    so that what is missing is trained again.
    """
    folder = Path(folder)
    index = read_index(folder)
    steps = {entry.file: entry.global_step for entry in index.kept}
    missing = [name for name in (index.last, index.best) if name is not None and not (folder / name).exists()]
    if not missing:
        return None if index.last is None else folder / index.last
    first = min(steps.get(name, 0) for name in missing)
    older = [name for name, step in steps.items() if step < first and (folder / name).exists()]
    return folder / older[-1] if older else None


def best_checkpoint(folder: Path) -> Path | None:
    """What is decoded with: the average, if one was made; the best validation score; without validation, the last."""
    index = read_index(folder)
    best = index.best if index.average is None else index.average.file
    return None if best is None else Path(folder) / best


def earlier_checkpoints(path: Path) -> list[Path]:
    """The kept checkpoints of the same folder that are older than ``path`` and exist, newest first."""
    path = Path(path)
    names = [entry.file for entry in read_index(path.parent).kept]
    older = names[: names.index(path.name)] if path.name in names else names
    return [path.parent / name for name in reversed(older) if (path.parent / name).exists()]


def sorted_by_score(entries: Iterable[CheckpointEntry], mode: str) -> list[CheckpointEntry]:
    """Those that have a score, best first; the earlier of two equal ones is the better one."""
    sign = {"min": 1.0, "max": -1.0}[mode]
    scored = [(sign * entry.score, entry.global_step, entry) for entry in entries if entry.score is not None]
    return [entry for *_, entry in sorted(scored, key=lambda triple: triple[:2])]


def prune(folder: Path, keep: int = 1, also: Collection[str] = ()) -> list[Path]:
    """Delete all checkpoints but the newest ``keep``, the best and the average, and those whose names are given.

    What a kill left unlisted or half-written goes too. The index is replaced first, so that it never names a file that
    is gone. Returns what was deleted.
    """
    folder = Path(folder)
    index = read_index(folder)
    newest = {entry.file for entry in index.kept[-keep:]} if keep else set()
    names = newest | {name for name in (index.last, index.best) if name is not None} | set(also)
    names |= {index.average.file} if index.average is not None else set()
    kept = [entry for entry in index.kept if entry.file in names]
    if kept != index.kept:
        write_index(folder, dataclasses.replace(index, kept=kept))
    doomed = [path for path in folder.glob("*.ckpt") if path.name not in names]
    doomed += list(folder.glob(".*.ckpt.*.tmp"))
    for path in doomed:
        crash_point("checkpoint removal")
        path.unlink(missing_ok=True)
    return sorted(doomed)


def _index_of(kept: list[CheckpointEntry], mode: str) -> CheckpointIndex:
    """Last and best of the entries."""
    best = (sorted_by_score(kept, mode) or kept[-1:])[0]
    return CheckpointIndex(kept[-1].file, best.file, kept)
