"""One batch to be searched: what every strategy is handed, whatever its settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seq2seq_lightning.decoding.constraints.composed import Constraints
from seq2seq_lightning.decoding.constraints.length import LengthLimits
from seq2seq_lightning.decoding.protocol import Details, SpecialIds, StepDecoder, Utility


@dataclass(frozen=True)
class SearchTask:
    """Sentences, the model that continues them, and what is asked of the hypotheses."""

    decoder: StepDecoder
    state: Any  # `State`, one row per sentence
    memory: Any  # `Memory`, one entry per sentence
    source_lengths: Tensor  # (sentences,) int64 on the CPU: the positions that attention weighs
    constraints: Constraints  # on the model's device, before the first position
    ids: SpecialIds
    details: Details
    places: Tensor | None = None  # (sentences,) int64: where each stands in the test set, for noise; None: in the batch
    utility: Utility | None = None  # what compares outputs, for strategies that do

    @property
    def limits(self) -> LengthLimits:
        """How short and how long outputs may be."""
        return self.constraints.limits

    @property
    def device(self) -> torch.device:
        """Where the search runs."""
        return self.limits.maximum.device


def device_of(value: Any) -> torch.device | None:
    """Where the first tensor inside a state or memory is: in its fields, mappings or sequences. None: it holds none."""
    if isinstance(value, Tensor):
        return value.device
    if isinstance(value, Mapping):
        parts: Iterable[Any] = value.values()
    elif isinstance(value, list | tuple):
        parts = value
    else:
        parts = vars(value).values() if hasattr(value, "__dict__") else ()
    return next((device for device in map(device_of, parts) if device is not None), None)
