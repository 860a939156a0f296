"""The recurrent cells of several replicas as one cell."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.cells.cell import Cell, CellStep, last_real
from seq2seq_lightning.models.cells.fused import FusedCell
from seq2seq_lightning.models.cells.gru import GRU
from seq2seq_lightning.models.cells.lstm import LSTM
from seq2seq_lightning.models.cells.rnn import RNN
from seq2seq_lightning.models.deferred import DeferredLinear
from seq2seq_lightning.models.dropout import Noise
from seq2seq_lightning.models.replicas.modules import multiply
from seq2seq_lightning.models.replicas.recurrence import (
    GRURecurrence,
    LSTMRecurrence,
    Recurrence,
    ReluRecurrence,
    RNNRecurrence,
    Unrolled,
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

    def handed_over(self) -> tuple[str, ...]:  # type: ignore[override]
        """See ``Cell.handed_over``."""
        return tuple(dict.fromkeys(("hidden", *self.bridged)))

    def biases(self) -> tuple[Tensor | None, Tensor | None]:
        """What is added to W x, and to U h: there only where a gate acts on it."""
        if self.bias_ih is None or self.bias_hh is None or self.kind is GRURecurrence:
            return self.bias_ih, self.bias_hh
        return self.bias_ih + self.bias_hh, None

    def unroll(self, inputs: Tensor, state: CellState, lengths: Tensor | None = None) -> tuple[Tensor, CellState]:
        """See ``Cell.unroll``."""
        rows, time = inputs.shape[:2]
        of_given, of_carried = self.biases()
        given = multiply(inputs, self.weight_ih, of_given).view(self.replicas, -1, time, self.weight_ih.shape[1])
        start = [self._apart(state[name]) for name in self.handed_over()]
        found = Unrolled.apply(self.kind, given.permute(2, 0, 1, 3), self.weight_hh, of_carried, *start)
        by_row = [each.permute(1, 2, 0, 3).reshape(rows, time, self.hidden_size) for each in found]
        return by_row[0], {
            name: last_real(each, lengths) for name, each in zip(self.handed_over(), by_row, strict=True)
        }

    def begin(self, rows: int, time: int, noise: Noise | None = None) -> CellStep:
        """See ``Cell.begin``."""
        assert noise is None, "noise inside of stacked cells"
        if not torch.is_grad_enabled():
            return Running(self, time)
        given, carried = (
            DeferredLinear(weight, bias, rows, time)
            for weight, bias in ((self.weight_ih, self.bias_ih), (self.weight_hh, self.bias_hh))
        )

        def step(inputs: Tensor, state: CellState) -> tuple[Tensor, CellState]:
            state = self.gate(given(inputs), carried(state["hidden"]), state)
            return state["hidden"], state

        return step

    def _apart(self, value: Tensor) -> Tensor:
        """(rows, hidden) → (replicas, rows of one, hidden)."""
        return value.view(self.replicas, -1, self.hidden_size)


class Running:
    """The cell at one position after the other, without gradient; it remembers the state itself."""

    def __init__(self, cell: StackedCell, time: int) -> None:
        self.cell, self.time, self.position = cell, time, 0
        self.bias, self.carried_bias = cell.biases()
        self.done: Recurrence | None = None

    def __call__(self, inputs: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """inputs: (rows, input_size); state: where it starts, at the first position, and not looked at again."""
        cell = self.cell
        if self.done is None:
            start = tuple(cell._apart(state[name]) for name in cell.handed_over())
            self.done = cell.kind.begin(cell.weight_hh, self.carried_bias, start, self.time)
            self.turned = cell.weight_ih.transpose(1, 2)
            self.bias = None if self.bias is None else self.bias.unsqueeze(1)
        apart, sums = inputs.view(cell.replicas, -1, cell.input_size), self.done.sums_at[self.position]
        if self.bias is None:
            torch.bmm(apart, self.turned, out=sums)
        else:
            torch.baddbmm(self.bias, apart, self.turned, out=sums)
        output = self.done.step(self.position).view(-1, cell.hidden_size)
        self.position += 1
        return output, state

    def end(self) -> None:
        """Give the room back."""
        if self.done is not None:
            self.done.end()
