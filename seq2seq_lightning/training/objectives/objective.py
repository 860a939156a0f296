"""What training minimises: the part that every objective shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

from torch import Tensor

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.decoding.protocol import SpecialIds
from seq2seq_lightning.losses import TokenLosses
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.training.feeding import Fed


@dataclass
class ObjectiveConfig:
    """What every objective shares: nothing but the name."""

    name: str = "maximum_likelihood"


@dataclass(frozen=True)
class TrainingStep:
    """One micro-batch and what an objective may ask about it."""

    model: Seq2Seq
    batch: Batch
    ids: SpecialIds
    seed: int
    update: int  # optimiser updates done before this one
    feed: Callable[[], Fed]  # runs the decoder over the gold targets as `teacher_forcing` asks

    @cached_property
    def fed(self) -> Fed:
        """The decoder's readouts over the gold targets, computed when first asked for."""
        return self.feed()


@dataclass(frozen=True)
class Losses:
    """What an objective makes of a micro-batch: sums, never means."""

    total: Tensor  # scalar with gradient: what is trained on, divided once by the labels of the global batch
    tokens: TokenLosses | None  # of the gold labels, where they were computed
    logged: dict[str, Tensor] = field(default_factory=dict)  # further sums, logged as `train/<name>` per sentence


class Objective(ABC):
    """A sum of losses over one micro-batch; it is divided once, by the global label count, before the update."""

    @abstractmethod
    def losses(self, step: TrainingStep) -> Losses:
        """The losses of one micro-batch."""
