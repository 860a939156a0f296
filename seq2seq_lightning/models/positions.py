"""What one position of a decoder is made of: what a step gives, what a readout joins, what a loop shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq_lightning.models.attention.attention import Attend
from seq2seq_lightning.models.cells.cell import CellStep
from seq2seq_lightning.models.state import Carried, CellState


@dataclass(frozen=True)
class Part:
    """What a readout may join, (rows, …) for one position or (batch, target_time, …) for all of them."""

    top: Tensor  # the output of the stack
    context: Tensor | None
    embedded: Tensor
    mask: Tensor | None  # dropout of the readout
    weights: Tensor | None = None  # of the attention, (…, source_time); no readout joins them

    @classmethod
    def stack(cls, parts: list[Part], mask: Tensor | None) -> Part:
        """The positions of a target as one."""
        contexts = [part.context for part in parts if part.context is not None]
        tops, embedded = (torch.stack([getattr(part, name) for part in parts], 1) for name in ("top", "embedded"))
        return cls(tops, torch.stack(contexts, 1) if contexts else None, embedded, mask, cls.all_weights(parts))

    @classmethod
    def all_weights(cls, parts: list[Part]) -> Tensor | None:
        """The attention weights of all positions, (batch, target_time, source_time)."""
        weights = [part.weights for part in parts if part.weights is not None]
        return torch.stack(weights, 1) if weights else None

    def select(self, rows: Tensor) -> Part:
        """Some rows of one position. rows: (n,)."""
        context, mask, weights = (
            None if value is None else value[rows] for value in (self.context, self.mask, self.weights)
        )
        return Part(self.top[rows], context, self.embedded[rows], mask, weights)


class Seen(NamedTuple):
    """What one position saw of the source."""

    context: Tensor  # (rows, size)
    weights: Tensor | None  # (rows, source_time)
    carried: Carried | None


@dataclass(frozen=True)
class Position:
    """What one position gave."""

    top: Tensor  # (rows, hidden), the output of the stack
    layers: tuple[CellState, ...]
    context: Tensor | None  # (rows, size)
    weights: Tensor | None  # (rows, source_time)
    carried: Carried | None  # by the attention


@dataclass(frozen=True)
class Moves:
    """The parts of a step; within a loop they share work between positions."""

    cells: list[CellStep] | None
    attend: Attend | None
    read_out: Callable[[Tensor], Tensor] | None
    transition: CellStep | None = None  # of the second cell of a conditional decoder


def conditional(first: CellStep, ask: Callable[[Tensor], Tensor], second: CellStep) -> CellStep:
    """A step of two cells with the attention between them (Sennrich et al. 2017, the conditional GRU of Nematus).

    s' = first(x, s), c = the context that s' asks for, s = second(c, s').
    """

    def step(inputs: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        output, between = first(inputs, state)
        return second(ask(output), between)

    return step
