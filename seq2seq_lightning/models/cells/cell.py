"""What every recurrent cell offers: one layer, one direction, as a whole sequence (unroll) or one position (step)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from torch import Tensor, nn

from seq2seq_lightning.models.state import CellState

CellStep = Callable[[Tensor, CellState], tuple[Tensor, CellState]]
"""(inputs (rows, input_size), state) → the output (rows, hidden_size) and the new state."""


class Kind(Enum):
    """What a parameter does; initialisation is chosen per kind."""

    embedding = "embedding"
    input = "input"
    recurrent = "recurrent"
    output = "output"
    bias = "bias"
    norm = "norm"


@dataclass
class CellConfig:
    """The choice of a cell; each cell has its own subclass."""

    name: str = "cell"  # the option under `model/cell`
    bias: bool = True  # whether the gates have bias vectors


class Cell(nn.Module):
    """One recurrent layer in one direction. Depth, direction, residuals and norms live in ``models.stack``.

    A state is a dict of named batch-first tensors. ``hidden`` is always one of them, (batch, hidden_size), and
    equals the last output.
    """

    bridged: ClassVar[tuple[str, ...]] = ("hidden",)  # the states that a bridge fills; the others start as initial
    gates: ClassVar[int] = 1  # how many matrices are stacked along the first axis of each weight
    forget_gate: ClassVar[int | None] = None  # which of them is a forget gate, if there is one

    input_size: int
    hidden_size: int

    def initial_state(self, batch: int, like: Tensor) -> CellState:
        """Where the cell starts when nothing else is said: zeros, in the dtype and on the device of ``like``."""
        return {name: like.new_zeros(batch, self.hidden_size) for name in self.bridged}

    def unroll(self, inputs: Tensor, state: CellState, lengths: Tensor | None = None) -> tuple[Tensor, CellState]:
        """Read a padded batch from left to right.

        inputs: (batch, time, input_size); lengths: (batch,) int64 on the CPU, None where every row is full.
        Returns outputs (batch, time, hidden_size), not to be trusted at padding, and each row's state after its own
        last real position.
        """
        raise NotImplementedError

    def step(self, inputs: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """Read one position. inputs: (rows, input_size). Returns the output (rows, hidden_size) and the new state."""
        raise NotImplementedError

    def begin(self, rows: int, time: int) -> CellStep:
        """``step`` for the next ``time`` positions of as many rows, free to share work between them."""
        del rows, time
        return self.step

    def parameter_kinds(self) -> dict[str, Kind]:
        """The kind of each parameter by its name within the cell; every parameter is listed."""
        raise NotImplementedError
