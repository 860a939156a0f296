"""The mean of several checkpoints of one training (`checkpoint.average`), which is then what is scored.

Which ones is decided by updates alone, never by the clock or a signal, so that an interrupted and resumed training ends
with the same mean.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from seq2seq_lightning.training.checkpoint_index import (
    AverageEntry,
    CheckpointEntry,
    CheckpointIndex,
    read_index,
    sorted_by_score,
    write_index,
)
from seq2seq_lightning.training.checkpoints import read_checkpoint, without_training, write_checkpoint
from seq2seq_lightning.training.settings import AverageOf, CheckpointConfig

AVERAGE_NAME = "average.ckpt"


def entries_to_average(
    index: CheckpointIndex, config: CheckpointConfig, mode: str, ended: bool
) -> list[CheckpointEntry]:
    """Of the kept checkpoints those whose mean would be taken now, oldest first; none where no average is asked for.

    last: the newest of those that a multiple of `checkpoint.every`, a validation or the end of training called for.
    best: those with the best scores; without any score, the last ones. mode: ``min`` or ``max``, how scores improve.
    """
    if config.average == 1:
        return []
    best = sorted_by_score(index.kept, mode)[: config.average]
    if config.average_of is AverageOf.best and best:
        return sorted(best, key=lambda entry: entry.global_step)
    planned = [
        entry
        for entry in index.kept
        if entry.score is not None or entry.global_step % config.every == 0 or (ended and entry.file == index.last)
    ]
    return planned[-config.average :]


def average_checkpoints(folder: Path, config: CheckpointConfig, mode: str) -> None:
    """At the end of training: write the mean, and enter it in the index as what is decoded with.

    Asked for one checkpoint only, it leaves everything as it is.
    """
    index = read_index(folder)
    entries = entries_to_average(index, config, mode, ended=True)
    if not entries:
        return
    if len(entries) < config.average:
        steps = ", ".join(str(entry.global_step) for entry in entries)
        print(
            f"checkpoint.average={config.average}, but training wrote {len(entries)} such checkpoints only: the mean "
            f"is of those after {steps} updates. For more of them lower checkpoint.every.",
            file=sys.stderr,
        )
    checkpoints = [read_checkpoint(folder / entry.file) for entry in entries]
    weights = mean_weights([checkpoint.weights for checkpoint in checkpoints])
    write_checkpoint(folder / AVERAGE_NAME, dataclasses.replace(without_training(checkpoints[-1]), weights=weights))
    average = AverageEntry(AVERAGE_NAME, [entry.global_step for entry in entries])
    write_index(folder, dataclasses.replace(index, average=average))


def mean_weights(many: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of tensors of the same name, summed in float64; of what does not float, the newest (the last)."""
    return {name: _mean([weights[name] for weights in many]) for name in many[-1]}


def _mean(tensors: Sequence[Tensor]) -> Tensor:
    newest = tensors[-1]
    if not newest.is_floating_point():
        return newest
    return (torch.stack([tensor.double() for tensor in tensors]).sum(0) / len(tensors)).to(newest.dtype)
