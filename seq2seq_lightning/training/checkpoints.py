"""One checkpoint, one self-contained file: {format, weights, config, vocabularies, training}, written durably.

Only plain values and tensors go in, so that a file loads with ``weights_only=True`` and nothing in it can run.
"""

from __future__ import annotations

import errno
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from seq2seq_lightning.errors import CheckpointError, DataError
from seq2seq_lightning.experiments.files import replacing
from seq2seq_lightning.training.checkpoint_index import (
    CheckpointIndex,
    best_checkpoint,
    earlier_checkpoints,
    prune,
    read_index,
    write_index,
)
from seq2seq_lightning.training.settings import AfterScoring

FORMAT = 1
_KEYS = ("weights", "config", "vocabularies", "training")
_KEPT_WHEN_STRIPPED = ("epoch", "global_step", "plugins", "pytorch-lightning_version")


@dataclass(frozen=True)
class Checkpoint:
    """Weights by name, the resolved config, the vocabularies, and what only resuming needs."""

    weights: dict[str, Tensor]
    config: dict[str, Any]
    vocabularies: dict[str, Any]
    training: dict[str, Any]

    @property
    def can_be_resumed(self) -> bool:
        """Does it hold the state of optimiser and loops?"""
        return "optimizer_states" in self.training

    @property
    def model_weights(self) -> dict[str, Tensor]:
        """The weights of the model alone, by its own names: without what an objective trains beside it."""
        return {name.removeprefix("model."): each for name, each in self.weights.items() if name.startswith("model.")}

    @property
    def plugins(self) -> dict[str, str]:
        """Distribution → version of the plug-ins that the model needs."""
        return self.training.get("plugins", {})

    @property
    def global_step(self) -> int | None:
        """Updates done, where known."""
        return self.training.get("global_step")


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write or replace a checkpoint, whole or not at all; after an error the file that stood there still does."""
    path = Path(path)
    content = {"format": FORMAT, **{key: plain_values(getattr(checkpoint, key), key) for key in _KEYS}}
    try:
        with replacing(path) as file:
            torch.save(content, file)
    except DataError as error:
        raise CheckpointError(str(error)) from error
    except RuntimeError as error:  # how torch's writer reports that the file could not be written
        cause = error.__context__
        if not isinstance(cause, OSError):
            raise
        full = cause.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full; make room and repeat" if full else cause.strerror
        raise CheckpointError(f"{path} was not written: {reason}. What stood there before is untouched.") from error


def read_checkpoint(path: Path, map_location: Any = "cpu") -> Checkpoint:
    """Read a checkpoint; one that is missing, damaged, foreign or of another format is refused by a message."""
    path = Path(path)
    if not path.is_file():
        raise _refusal(path, "does not exist")
    problem = damage(path)
    if problem:
        raise _refusal(path, f"is damaged ({problem})")
    content = _load(path, map_location)
    if not isinstance(content, dict) or "format" not in content:
        raise _refusal(path, "is no checkpoint of seq2seq_lightning: it names no format")
    if content["format"] != FORMAT:
        raise CheckpointError(
            f"{path} has format {content['format']!r}, but this version reads format {FORMAT}. "
            "Use the version of seq2seq_lightning that wrote it; its record.json names it."
        )
    missing = [key for key in _KEYS if key not in content]
    if missing:
        raise _refusal(path, f"is incomplete: it lacks {', '.join(missing)}")
    for key in _KEYS:
        if not isinstance(content[key], dict):
            raise _refusal(path, f"is damaged: its {key} are {type(content[key]).__name__}, not named values")
    return Checkpoint(**{key: content[key] for key in _KEYS})


def strip_training(path: Path) -> None:
    """Rewrite a checkpoint without optimiser and loops: it can be decoded with, but not resumed."""
    write_checkpoint(path, without_training(read_checkpoint(path)))


def without_training(checkpoint: Checkpoint) -> Checkpoint:
    """The same without optimiser and loops."""
    kept = {key: checkpoint.training[key] for key in _KEPT_WHEN_STRIPPED if key in checkpoint.training}
    return replace(checkpoint, training=kept)


def previous_checkpoint(path: Path) -> Path | None:
    """The newest undamaged checkpoint of the same folder that is older than ``path``."""
    return next((earlier for earlier in earlier_checkpoints(path) if damage(earlier) is None), None)


def damage(path: Path) -> str | None:
    """What is wrong with the file as an archive, or None: torch itself reads flipped bits without a complaint."""
    try:
        with zipfile.ZipFile(path) as archive:
            broken = archive.testzip()
    except Exception as error:  # a broken archive breaks its reader in many ways
        return f"{type(error).__name__}: {error}"
    return None if broken is None else f"wrong checksum of {broken}"


def plain_values(value: Any, where: str) -> Any:
    """Copy dicts, lists and tuples of plain values and tensors; name the key of whatever a checkpoint may not hold.

    Subclasses of dict become dict, parameters become tensors; numpy numbers, enums, paths and dataclasses are refused,
    because a file with one of them does not load.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) in (Tensor, Parameter):
        return value.detach()
    if isinstance(value, dict):
        for key in value:
            if type(key) not in (str, int):
                raise CheckpointError(f"{where} has the key {key!r} of type {_name(key)}; only str and int are stored.")
        return {key: plain_values(item, f"{where}.{key}") for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(plain_values(item, f"{where}[{index}]") for index, item in enumerate(value))
    raise CheckpointError(
        f"{where} is a {_name(value)}, which a checkpoint does not hold. "
        "Allowed: dict, list, tuple, str, int, float, bool, None, tensor."
    )


def from_lightning(checkpoint: Mapping[str, Any]) -> Checkpoint:
    """Sort what Lightning dumps: its ``state_dict`` is the weights, the module's entries keep their names.

    ``config`` and ``vocabularies`` are put there by the module's ``on_save_checkpoint``; the rest serves resuming.
    """
    for key in ("config", "vocabularies"):
        if key not in checkpoint:
            raise CheckpointError(
                f"The module's on_save_checkpoint put no {key!r} into the checkpoint, which would not load alone."
            )
    rest = {key: value for key, value in checkpoint.items() if key not in ("state_dict", "config", "vocabularies")}
    return Checkpoint(checkpoint["state_dict"], checkpoint["config"], checkpoint["vocabularies"], rest)


def to_lightning(checkpoint: Checkpoint) -> dict[str, Any]:
    """The dump that ``from_lightning`` sorted."""
    return {
        **checkpoint.training,
        "state_dict": checkpoint.weights,
        "config": checkpoint.config,
        "vocabularies": checkpoint.vocabularies,
    }


def _load(path: Path, map_location: Any) -> Any:
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(
            path, "holds more than plain values and tensors, and is not loaded, because loading it could run code"
        ) from error
    except (RuntimeError, ValueError, KeyError, EOFError, OSError) as error:
        raise _refusal(path, f"is damaged ({error})") from error


def _refusal(path: Path, problem: str) -> CheckpointError:
    try:
        earlier = previous_checkpoint(path)
        index = read_index(path.parent)
    except CheckpointError as error:  # of the index, which must not hide the first problem
        return CheckpointError(f"{path} {problem}. {error}")
    if earlier is None:
        return CheckpointError(f"{path} {problem}. There is no earlier checkpoint beside it: repeat the training.")
    is_wanted = path.exists() and path.name in (index.last, index.best)
    remedy = f" To train on from there, delete {path.name} and repeat the command." if is_wanted else ""
    return CheckpointError(f"{path} {problem}. The one before it is whole: {earlier}.{remedy}")


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def tidy(folder: Path, after_scoring: AfterScoring) -> None:
    """What becomes of a finished run's checkpoints: the one that was scored, without optimiser state, all, or none."""
    best = best_checkpoint(folder)
    if best is None or after_scoring is AfterScoring.keep_all:
        return
    if after_scoring is AfterScoring.keep_best:
        strip_training(best)
        index = read_index(folder)
        entries = [entry for entry in index.kept if entry.file == best.name]
        write_index(folder, CheckpointIndex(best.name, best.name, entries, index.average))
        prune(folder)
    else:
        write_index(folder, CheckpointIndex())
        prune(folder, keep=0)
