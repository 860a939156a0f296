"""What our own cells share: the input enters through one linear map, which a whole sequence can have at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import linear

from seq2seq_lightning.models.cells.cell import Cell, CellStep, loop
from seq2seq_lightning.models.deferred import DeferredLinear
from seq2seq_lightning.models.dropout import Noise, drop
from seq2seq_lightning.models.state import CellState

Move = Callable[[Tensor, CellState], CellState]
"""(what the map and ``prepare`` made of the inputs (rows, …), state) → the new state."""


class MappedCell(Cell):
    """A cell that reads its input x as ``prepare(W x + b, x)``."""

    def input_map(self) -> tuple[Tensor, Tensor | None]:
        """W (size, input_size) and b (size,)."""
        raise NotImplementedError

    def prepare(self, product: Tensor, inputs: Tensor) -> Tensor:
        """What else can be done for all positions at once. product: (…, size), W x + b; inputs: (…, input_size)."""
        del inputs
        return product

    def move(self, given: Tensor, state: CellState) -> CellState:
        """One position. given: (rows, …), as prepared."""
        raise NotImplementedError

    def moving(self, rows: int, time: int, noise: Noise | None) -> Move:
        """``move`` for the next ``time`` positions of as many rows, without zoneout."""
        del rows, time, noise
        return self.move

    def given(self, inputs: Tensor) -> Tensor:
        """What the cell reads of its inputs, for any number of positions. inputs: (…, input_size)."""
        return self.prepare(linear(inputs, *self.input_map()), inputs)

    def step(self, inputs: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """See ``Cell.step``."""
        state = self.move(self.given(inputs), state)
        return state["hidden"], state

    def begin(self, rows: int, time: int, noise: Noise | None = None) -> CellStep:
        """See ``Cell.begin``."""
        map_inputs, move = deferred(*self.input_map(), rows, time), self.moving(rows, time, noise)

        def step(inputs: Tensor, state: CellState) -> tuple[Tensor, CellState]:
            state = move(self.prepare(map_inputs(inputs), inputs), state)
            return state["hidden"], state

        return self.zone_out(step, time, noise)

    def unroll_under(
        self, noise: Noise | None, inputs: Tensor, state: CellState, lengths: Tensor | None = None
    ) -> tuple[Tensor, CellState]:
        """See ``Cell.unroll_under``: position after position, but for the input map."""
        batch, time = inputs.shape[:2]
        move = self.moving(batch, time, noise)

        def step(given: Tensor, state: CellState) -> tuple[Tensor, CellState]:
            state = move(given, state)
            return state["hidden"], state

        return loop(self.zone_out(step, time, noise), self.given(inputs).unbind(1), state, lengths)


class RecurrentCell(MappedCell):
    """A cell whose output enters the next position through another linear map, U h + b'."""

    is_recurrent = True

    def recurrent_map(self, noise: Noise | None = None) -> tuple[Tensor, Tensor | None]:
        """U (size, hidden_size), less the weights that the noise drops, and b'."""
        raise NotImplementedError

    def gate(self, given: Tensor, carried: Tensor, state: CellState) -> CellState:
        """One position. given: W x + b, as prepared; carried: U h + b'; (rows, size) each."""
        raise NotImplementedError

    def move(self, given: Tensor, state: CellState) -> CellState:
        """See ``MappedCell.move``."""
        return self.gate(given, linear(state["hidden"], *self.recurrent_map()), state)

    def moving(self, rows: int, time: int, noise: Noise | None) -> Move:
        """See ``MappedCell.moving``."""
        map_hidden = deferred(*self.recurrent_map(noise), rows, time)
        mask = None if noise is None else noise.hidden

        def move(given: Tensor, state: CellState) -> CellState:
            return self.gate(given, map_hidden(drop(state["hidden"], mask)), state)

        return move

    def unroll(self, inputs: Tensor, state: CellState, lengths: Tensor | None = None) -> tuple[Tensor, CellState]:
        """See ``Cell.unroll``."""
        return self.unroll_under(None, inputs, state, lengths)


def deferred(weight: Tensor, bias: Tensor | None, rows: int, time: int) -> Callable[[Tensor], Tensor]:
    """A linear map for ``time`` positions; in training on the CPU the weight's gradient waits for all of them."""
    if weight.device.type == "cpu" and torch.is_grad_enabled():
        return DeferredLinear(weight, bias, rows, time)
    return partial(linear, weight=weight, bias=bias)
