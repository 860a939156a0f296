"""A batch, and how rows of a split become one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seq2seq_lightning.data.example import EncodedSplit


class SpecialIds(Protocol):
    """The ids that batches are made with, whoever holds them."""

    @property
    def pad(self) -> int:
        """Fills a row up to the width of its batch."""

    @property
    def bos(self) -> int:
        """Begins the decoder's inputs."""

    @property
    def eos(self) -> int:
        """Ends the labels."""


@dataclass(frozen=True)
class Batch:
    """Padded rows of a split. With a target y1 … yn: inputs ``bos y1 … yn``, labels ``y1 … yn eos``."""

    source: Tensor  # (batch, source_time) int64 ids, or (batch, source_time, dim) features
    source_lengths: Tensor  # (batch,) int64, always on the CPU: positions, marks included
    target_inputs: Tensor  # (batch, target_time) int64
    target_labels: Tensor  # (batch, target_time) int64, pad where there is no label
    target_lengths: Tensor  # (batch,) int64, always on the CPU: labels
    indices: Tensor  # (batch,) int64, on the CPU: the row of the split, to restore order
    places: Tensor  # (batch,) int64: the row's place in the global batch, which random streams are drawn by
    label_count: int  # labels of the whole global batch, all micro-batches and ranks: the loss is divided by it once
    sentence_count: int  # sentences of the whole global batch, for what is summed over sentences
    copy_ids: Tensor | None = None  # (batch, source_time) int64, for copying: each source word as an id of the target

    def __len__(self) -> int:
        return len(self.indices)

    def to(self, device: torch.device | str) -> Batch:
        """The batch on a device; lengths and indices stay on the CPU, where packing and bookkeeping want them."""
        moved = {
            name: getattr(self, name).to(device, non_blocking=True)
            for name in ("source", "target_inputs", "target_labels", "places", "copy_ids")
            if getattr(self, name) is not None
        }
        return replace(self, **moved)


def collate(
    split: EncodedSplit,
    rows: NDArray[np.int64],
    places: NDArray[np.int64],
    label_count: int,
    sentence_count: int,
    ids: SpecialIds,
    target_eos: bool = True,
    filler: bool = False,
    indices: NDArray[np.int64] | None = None,
) -> Batch:
    """Pad rows of a split to a batch.

    rows, places: (batch,). With ``target_eos`` false inputs are ``bos y1 … y(n-1)`` and labels ``y1 … yn``.
    A ``filler`` batch keeps a rank in step when there is no row left for it: its labels are all pad, so that it adds
    nothing to the loss, while its lengths stay above zero. indices: the rows by their names in the whole split, where
    this one holds a part.
    """
    source_lengths = split.source_lengths[rows].astype(np.int64)
    label_lengths = split.target_lengths[rows].astype(np.int64) + int(target_eos)
    width, source_width = int(label_lengths.max()), int(source_lengths.max())
    source = _pad(split.source_ids, split.source_offsets, rows, source_width, ids.pad)
    tokens = _pad(split.target_ids, split.target_offsets, rows, width, ids.pad)
    labels = tokens.copy()
    if target_eos:
        labels[np.arange(len(rows)), label_lengths - 1] = ids.eos
    inputs = np.full_like(tokens, ids.bos)
    inputs[:, 1:] = np.where(np.arange(1, width) < label_lengths[:, None], tokens[:, :-1], ids.pad)
    if filler:
        labels.fill(ids.pad)
    copied = None
    if split.copy_ids is not None:
        copied = torch.from_numpy(_pad(split.copy_ids, split.source_offsets, rows, source_width, ids.pad))
    return Batch(
        source=torch.from_numpy(source),
        source_lengths=torch.from_numpy(source_lengths),
        target_inputs=torch.from_numpy(inputs),
        target_labels=torch.from_numpy(labels),
        target_lengths=torch.from_numpy(label_lengths),
        indices=torch.from_numpy(np.array(rows if indices is None else indices, dtype=np.int64)),
        places=torch.from_numpy(np.array(places, dtype=np.int64)),
        label_count=label_count,
        sentence_count=sentence_count,
        copy_ids=copied,
    )


def _pad(
    ids: NDArray[np.integer], offsets: NDArray[np.int64], rows: NDArray[np.int64], width: int, pad_id: int
) -> NDArray[np.int64]:
    """Rows of flat ids side by side, filled up on the right: (batch, width), int64."""
    starts, ends = offsets[rows], offsets[rows + 1]
    positions = starts[:, None] + np.arange(width)
    real = positions < ends[:, None]
    padded = np.full(positions.shape, pad_id, dtype=np.int64)
    padded[real] = ids[positions[real]]
    return padded
