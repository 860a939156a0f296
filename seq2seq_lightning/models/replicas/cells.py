"""The recurrent cells of several replicas as one cell."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.cells.cell import Cell, CellStep
from seq2seq_lightning.models.cells.fused import FusedCell
from seq2seq_lightning.models.cells.gru import GRU
from seq2seq_lightning.models.cells.lstm import LSTM
from seq2seq_lightning.models.cells.rnn import RNN
from seq2seq_lightning.models.deferred import DeferredLinear
from seq2seq_lightning.models.dropout import Noise
from seq2seq_lightning.models.replicas.reach import Reach
from seq2seq_lightning.models.replicas.recurrence import Recurrence, Unrolled, Weights
from seq2seq_lightning.models.replicas.recurrences import (
    GRURecurrence,
    LSTMRecurrence,
    ReluRecurrence,
    RNNRecurrence,
)
from seq2seq_lightning.models.state import CellState


def recurrence_of(cell: Cell) -> type[Recurrence] | None:
    """How the positions of a cell are computed for several replicas; None for a cell that cannot be stacked."""
    if isinstance(cell, RNN):
        return RNNRecurrence if cell.activate is torch.tanh else ReluRecurrence
    kinds: dict[type[Cell], type[Recurrence]] = {LSTM: LSTMRecurrence, GRU: GRURecurrence}
    return kinds.get(type(cell))


class StackedCell(Cell):
    """An LSTM, GRU or simple recurrent cell per replica. parameters: stacked, by the names within the cell."""

    def __init__(self, cell: FusedCell, parameters: Mapping[str, nn.Parameter]) -> None:
        super().__init__()
        kind = recurrence_of(cell)
        assert kind is not None
        self.kind = kind
        self.input_size, self.hidden_size = cell.input_size, cell.hidden_size
        self.bridged = cell.bridged  # type: ignore[misc]
        self.gate = cell.gate  # which holds no weights
        own = {name.removeprefix("kernel.").removesuffix("_l0"): each for name, each in parameters.items()}
        self.weight_ih, self.weight_hh = own["weight_ih"], own["weight_hh"]
        self.bias_ih, self.bias_hh = own.get("bias_ih"), own.get("bias_hh")

    @property
    def replicas(self) -> int:
        """How many there are."""
        return self.weight_hh.shape[0]

    @property
    def parameters_in_order(self) -> Weights:
        """As ``Unrolled`` takes them."""
        return Weights(self.weight_ih, self.bias_ih, self.weight_hh, self.bias_hh)

    def handed_over(self) -> tuple[str, ...]:  # type: ignore[override]
        """See ``Cell.handed_over``."""
        return tuple(dict.fromkeys(("hidden", *self.bridged)))

    def place(self, state: CellState, reach: Reach) -> Recurrence:
        """Room for all positions, before the first."""
        given, given_bias, carried, carried_bias = self.parameters_in_order
        biases = (None if each is None else each.detach() for each in (given_bias, carried_bias))
        weights = Weights(given.detach(), next(biases), carried.detach(), next(biases))
        return self.kind.begin(weights, tuple(state[name].detach() for name in self.handed_over()), reach)

    def learn(self, done: Recurrence, has_run: bool, inputs: Tensor, state: CellState, ends: int = 0) -> list[Tensor]:
        """See ``Unrolled``."""
        start = (state[name] for name in self.handed_over())
        return list(Unrolled.apply(done, has_run, ends, inputs, *self.parameters_in_order, *start))

    def unroll(self, inputs: Tensor, state: CellState, lengths: Tensor | None = None) -> tuple[Tensor, CellState]:
        """See ``Cell.unroll``."""
        rows, time = inputs.shape[:2]
        lengths = torch.full((rows,), time) if lengths is None else lengths
        done, names = self.place(state, Reach(lengths.view(self.replicas, -1), time)), self.handed_over()
        outputs, *ends = self.learn(done, False, inputs, state, len(names))
        return outputs, dict(zip(names, ends, strict=True))

    def begin(self, rows: int, time: int, noise: Noise | None = None) -> CellStep:
        """See ``Cell.begin``."""
        assert noise is None, "noise inside of stacked cells"
        given, carried = (
            DeferredLinear(weight, bias, rows, time)
            for weight, bias in ((self.weight_ih, self.bias_ih), (self.weight_hh, self.bias_hh))
        )

        def step(inputs: Tensor, state: CellState) -> tuple[Tensor, CellState]:
            state = self.gate(given(inputs), carried(state["hidden"]), state)
            return state["hidden"], state

        return step
