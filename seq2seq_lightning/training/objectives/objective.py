"""What training minimises: the part that every objective shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.decoding.protocol import SpecialIds
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.losses import TokenLosses
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.training.feeding import Fed


@dataclass(frozen=True)
class Surroundings:
    """What the rest of a configuration means to an objective."""

    is_plainly_fed: bool = True  # teacher_forcing is as it is by default: gold throughout
    writes_eos: bool = True  # targets end with `eos`
    has_coverage_loss: bool = False  # the model adds a loss of its attention to those of gold labels


@dataclass
class ObjectiveConfig:
    """What every objective shares: nothing but the name."""

    name: str = "maximum_likelihood"

    def problems(self, surroundings: Surroundings) -> Iterator[str]:
        """What this objective could not do there, or would ignore: one sentence each, with what to do."""
        yield from ()

    def require(self, holds: bool, key: str, value: object, allowed: str) -> None:
        """Refuse a value of an option."""
        if not holds:
            raise ConfigurationError(f"objective.{key} is {value}; it must be {allowed}.")


@dataclass(frozen=True)
class TrainingStep:
    """One micro-batch and what an objective may ask about it."""

    model: Seq2Seq
    batch: Batch
    ids: SpecialIds
    seed: int
    update: int  # optimiser updates done before this one
    feed: Callable[[], Fed]  # runs the decoder over the gold targets as `teacher_forcing` asks
    is_logged: bool = False  # this update's losses are written down: what is computed for that alone is wanted

    @cached_property
    def fed(self) -> Fed:
        """The decoder's readouts over the gold targets, computed when first asked for."""
        return self.feed()

    @cached_property
    def is_sentence(self) -> Tensor:
        """(batch,) bool: False for a filler row, which has no label and counts for nothing."""
        return (self.batch.target_labels != self.ids.pad).any(1)

    def sentence_mean(self, losses: Tensor) -> Tensor:
        """What to add to ``Losses.total`` so that these losses are averaged over the sentences of the global batch.

        losses: (batch,), one per sentence. The total is divided by the labels of the global batch, so the sum is
        multiplied by labels ÷ sentences: both are the same for every micro-batch and rank.
        """
        total = torch.where(self.is_sentence, losses, torch.zeros_like(losses)).sum()
        return total * (self.batch.label_count / self.batch.sentence_count)


@dataclass(frozen=True)
class Losses:
    """What an objective makes of a micro-batch: sums, never means."""

    total: Tensor  # scalar with gradient: what is trained on, divided once by the labels of the global batch
    tokens: TokenLosses | None  # of the gold labels, where they were computed
    logged: dict[str, Tensor] = field(default_factory=dict)  # further sums, logged as `train/<name>` per sentence


class Objective(nn.Module, ABC):
    """A sum of losses over one micro-batch; it is divided once, by the global label count, before the update.

    An objective may train parameters of its own beside the model's: registered on it, they are saved, resumed, and
    updated by the same optimiser, with what ``parameter_group`` says. The total must reach all of them each time.
    """

    @abstractmethod
    def losses(self, step: TrainingStep) -> Losses:
        """The losses of one micro-batch."""

    def prepare(self, model: Seq2Seq, seed: int) -> None:
        """Make the parameters that the objective trains beside this model."""

    def parameter_group(self) -> dict[str, Any]:
        """The optimiser's settings for the objective's own parameters, where they differ from the model's."""
        return {}

    def before_update(self) -> None:
        """Called once per update on every rank, when all gradients are there: the place to clip one's own."""
