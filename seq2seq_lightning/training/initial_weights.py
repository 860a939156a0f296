"""Where a training starts that does not start from drawn weights: those of another run (`init_from`)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from seq2seq_lightning.errors import CheckpointError, ConfigurationError
from seq2seq_lightning.experiments.record import FILE_NAME, read_record
from seq2seq_lightning.text.vocabulary import Vocabulary
from seq2seq_lightning.training.checkpoint_index import best_checkpoint
from seq2seq_lightning.training.checkpoints import Checkpoint, read_checkpoint

_SHOWN = 5  # names of parameters told in a message


def initial_checkpoint(init_from: str) -> Path:
    """The file whose weights are meant: a checkpoint itself, or the best one of a finished run.

    A folder that holds one run only, `runs/<name>`, stands for that run. A run that is not finished is refused: its
    best checkpoint may be another one tomorrow.
    """
    path = Path(init_from)
    if path.is_file():
        return path
    run_dir = _run_in(path, init_from)
    status = read_record(run_dir).status
    if status != "completed":
        raise ConfigurationError(
            f"init_from={init_from} is {status}. Finish it with the command that began it, or name one of its "
            f"checkpoints: init_from={run_dir}/checkpoints/step-N.ckpt."
        )
    found = best_checkpoint(run_dir / "checkpoints")
    if found is None:
        raise ConfigurationError(
            f"init_from={init_from} has kept no checkpoint. Train it again with checkpoint.after_scoring=keep_best."
        )
    return found


def _run_in(path: Path, init_from: str) -> Path:
    if (path / FILE_NAME).is_file():
        return path
    runs = sorted(record.parent for record in path.glob(f"*/{FILE_NAME}"))
    if len(runs) == 1:
        return runs[0]
    if runs:
        raise ConfigurationError(
            f"init_from={init_from} holds {len(runs)} runs ({', '.join(run.name for run in runs)}). Name one of them."
        )
    raise ConfigurationError(
        f"init_from={init_from} is neither a checkpoint nor the directory of a run. Give runs/<name>/<fingerprint>, or "
        "a file runs/<name>/<fingerprint>/checkpoints/step-N.ckpt."
    )


def weights_hash(init_from: str) -> str:
    """Names the initial weights by their content, wherever they lie: what a fingerprint holds of `init_from`."""
    path = initial_checkpoint(init_from)
    status = path.stat()
    return _hash_of(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _hash_of(path: Path, modified: int, size: int) -> str:
    """Computed once for all jobs of a sweep; a file written anew is another one."""
    del modified, size
    digest = hashlib.sha256()
    for name, tensor in sorted(read_checkpoint(path).model_weights.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


def describe_initial_weights(init_from: str | None) -> dict[str, Any]:
    """What the record says of where a run began: place, content, update and run; nothing for drawn weights."""
    if init_from is None:
        return {}
    path = initial_checkpoint(init_from)
    run_dir = path.parent.parent
    return {
        "checkpoint": str(path),
        "weights": weights_hash(init_from),
        "global_step": read_checkpoint(path).global_step,
        "fingerprint": read_record(run_dir).fingerprint if (run_dir / FILE_NAME).is_file() else None,
    }


def start_from(init_from: str, model: nn.Module, vocabularies: Mapping[str, Vocabulary]) -> None:
    """Give the model the weights of another run; refuses another vocabulary and another architecture."""
    checkpoint = read_checkpoint(initial_checkpoint(init_from))
    problems = [*_other_tokens(init_from, checkpoint, vocabularies), *_other_parameters(init_from, checkpoint, model)]
    if problems:
        raise CheckpointError("\n".join(problems))
    model.load_state_dict(checkpoint.model_weights)


def _other_tokens(init_from: str, checkpoint: Checkpoint, vocabularies: Mapping[str, Vocabulary]) -> list[str]:
    problems = []
    for side, vocabulary in vocabularies.items():
        other = Vocabulary.from_plain(checkpoint.vocabularies[side]["vocabulary"])
        if other != vocabulary:
            problems.append(
                f"init_from={init_from} knows {len(other):,} {side} tokens, this run's data have {len(vocabulary):,}; "
                f"{_first_difference(vocabulary.tokens, other.tokens)}. Use the data and text settings of that run."
            )
    return problems


def _first_difference(here: tuple[str, ...], there: tuple[str, ...]) -> str:
    for index, (one, other) in enumerate(zip(here, there, strict=False)):
        if one != other:
            return f"the first difference is id {index}: {one!r} here, {other!r} there"
    index = min(len(here), len(there))
    longer, where = (here, "here") if len(here) > len(there) else (there, "there")
    return f"the first difference is id {index}: {longer[index]!r}, only {where}"


def _other_parameters(init_from: str, checkpoint: Checkpoint, model: nn.Module) -> list[str]:
    """What would not fit, by name: parameters the other lacks, has beside ours, or has in another shape."""
    own, other = model.state_dict(), checkpoint.model_weights
    shapes = [
        f"{name} {_shape(own[name])} here, {_shape(other[name])} there"
        for name in own
        if name in other and own[name].shape != other[name].shape
    ]
    kinds = {
        "missing there": [name for name in own if name not in other],
        "unknown here": [name for name in other if name not in own],
        "of another shape": shapes,
    }
    told = [f"{kind}: {_some(names)}" for kind, names in kinds.items() if names]
    if not told:
        return []
    return [f"init_from={init_from} has another architecture. {'; '.join(told)}. Use the model settings of that run."]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _shape(tensor: Tensor) -> str:
    return "×".join(str(size) for size in tensor.shape)
