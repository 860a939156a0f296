"""Depth and direction: cells stacked into a network for either side, with residuals and layer norms between them.

Per layer, x the input: ``cell(norm(x))`` or, with the norm after, ``norm(cell(x))``; the residual adds x to what the
cell gives, inside a norm that comes after. Dropout between layers acts on what the cell reads, not on the residual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.cells import build_cell
from seq2seq_lightning.models.cells.cell import CellConfig, CellStep
from seq2seq_lightning.models.dropout import drop
from seq2seq_lightning.models.state import CellState


class Direction(Enum):
    """Which way a source is read."""

    forward = "forward"
    bidirectional = "bidirectional"


class Combine(Enum):
    """How the two directions of a layer become one."""

    concat = "concat"
    sum = "sum"
    project = "project"


class Residual(Enum):
    """Whether a layer's input is added to its output, from the second layer on."""

    none = "none"
    add = "add"


class Norm(Enum):
    """Whether each layer has a layer norm of its own."""

    none = "none"
    layer = "layer"


class NormPlace(Enum):
    """Whether the norm acts on what a layer reads or on what it gives."""

    before = "before"
    after = "after"


@dataclass(frozen=True)
class Layout:
    """The form of a stack, whichever side it is on."""

    hidden_size: int  # per direction
    layers: int
    residual: Residual = Residual.none
    norm: Norm = Norm.none
    norm_place: NormPlace = NormPlace.before
    direction: Direction = Direction.forward
    combine: Combine = Combine.concat

    @property
    def output_size(self) -> int:
        """The size of what each layer gives."""
        doubled = self.direction is Direction.bidirectional and self.combine is Combine.concat
        return 2 * self.hidden_size if doubled else self.hidden_size


class Layer(nn.Module):
    """One layer of a stack: a cell per direction, their combination, and the norm and residual around them."""

    def __init__(self, cell: CellConfig, layout: Layout, input_size: int, is_first: bool) -> None:
        super().__init__()
        self.cell = build_cell(cell, input_size, layout.hidden_size)
        both = layout.direction is Direction.bidirectional
        self.reverse_cell = build_cell(cell, input_size, layout.hidden_size) if both else None
        self.concatenates = layout.combine is not Combine.sum
        projects = both and layout.combine is Combine.project
        self.projection = nn.Linear(2 * layout.hidden_size, layout.hidden_size) if projects else None
        self.adds_input = layout.residual is Residual.add and not is_first
        before, norms = layout.norm_place is NormPlace.before, layout.norm is Norm.layer
        self.norm_before = nn.LayerNorm(input_size) if norms and before else None
        self.norm_after = nn.LayerNorm(layout.output_size) if norms and not before else None

    def unroll(
        self, inputs: Tensor, state: CellState | None, reading: Reading, mask: Tensor | None
    ) -> tuple[Tensor, CellState]:
        """Read the whole batch; see ``Stack.unroll``. mask: (batch, time, input_size), on what the cell reads."""
        read = self._enter(inputs, mask)
        start = state or self.cell.initial_state(read.shape[0], read)
        outputs, end = self.cell.unroll(read, start, reading.lengths)
        if self.reverse_cell is not None:
            start = self.reverse_cell.initial_state(read.shape[0], read)
            backward, first = self.reverse_cell.unroll(reading.reverse(read), start, reading.lengths)
            outputs = self.combine(outputs, reading.reverse(backward))
            end = {name: self.combine(end[name], first[name]) for name in self.cell.bridged}
        return self._leave(inputs, outputs), end

    def step(
        self, inputs: Tensor, state: CellState, mask: Tensor | None, cell_step: CellStep
    ) -> tuple[Tensor, CellState]:
        """Read one position, forward layers only. inputs, mask: (rows, input_size)."""
        output, state = cell_step(self._enter(inputs, mask), state)
        return self._leave(inputs, output), state

    def combine(self, onward: Tensor, backward: Tensor) -> Tensor:
        """Two directions' outputs, or final states, as one; each (..., hidden_size)."""
        if not self.concatenates:
            return onward + backward
        both = torch.cat((onward, backward), dim=-1)
        return both if self.projection is None else self.projection(both)

    def _enter(self, inputs: Tensor, mask: Tensor | None) -> Tensor:
        return drop(inputs if self.norm_before is None else self.norm_before(inputs), mask)

    def _leave(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        outputs = outputs + inputs if self.adds_input else outputs
        return outputs if self.norm_after is None else self.norm_after(outputs)


class Stack(nn.Module):
    """Layers one above the other. ``layers[0]`` reads the inputs, the last one gives the outputs."""

    def __init__(self, cell: CellConfig, layout: Layout, input_size: int) -> None:
        super().__init__()
        self.input_size, self.output_size = input_size, layout.output_size
        sizes = [input_size] + [layout.output_size] * (layout.layers - 1)
        layers = [Layer(cell, layout, size, index == 0) for index, size in enumerate(sizes)]
        self.layers: Sequence[Layer] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.bridged: tuple[str, ...] = self.layers[0].cell.bridged

    def initial_state(self, batch: int, like: Tensor) -> tuple[CellState, ...]:
        """Every layer's own start."""
        return tuple(layer.cell.initial_state(batch, like) for layer in self.layers)

    def unroll(
        self,
        inputs: Tensor,
        state: tuple[CellState, ...] | None,
        lengths: Tensor | None,
        masks: Sequence[Tensor | None],
    ) -> tuple[Tensor, tuple[CellState, ...]]:
        """Read a padded batch.

        inputs: (batch, time, input_size); state: where each layer starts, None for its own start (and always with two
        directions); lengths: (batch,) on the CPU, None where all rows are full; masks: dropout between the layers, one
        (batch, time, output_size) or None for each layer but the first.
        Returns outputs (batch, time, output_size), not to be trusted at padding, and per layer the state after the last
        real position, for two directions combined with the backward state at the first position.
        """
        reading = Reading.of(inputs, lengths)
        ends = []
        for index, layer in enumerate(self.layers):
            start = None if state is None else state[index]
            inputs, end = layer.unroll(inputs, start, reading, masks[index - 1] if index else None)
            ends.append(end)
        return inputs, tuple(ends)

    def begin(self, rows: int, time: int) -> list[CellStep]:
        """What each layer's cell does at the next ``time`` positions of as many rows; see ``Cell.begin``."""
        return [layer.cell.begin(rows, time) for layer in self.layers]

    def step(
        self,
        inputs: Tensor,
        state: tuple[CellState, ...],
        masks: Sequence[Tensor | None],
        cell_steps: Sequence[CellStep] | None = None,
    ) -> tuple[Tensor, tuple[CellState, ...]]:
        """Read one position, forward stacks only.

        inputs: (rows, input_size); masks: (rows, output_size) each; cell_steps: as `begin` gave them, within a loop.
        """
        cell_steps = cell_steps or [layer.cell.step for layer in self.layers]
        ends = []
        for index, layer in enumerate(self.layers):
            inputs, end = layer.step(inputs, state[index], masks[index - 1] if index else None, cell_steps[index])
            ends.append(end)
        return inputs, tuple(ends)


@dataclass(frozen=True)
class Reading:
    """How far each row of a padded batch reaches, and the order that reverses it within its own length."""

    lengths: Tensor | None  # (batch,) on the CPU; None where every row is full
    order: Tensor | None  # (batch, time, 1): where the element at each place comes from when a row is reversed

    @classmethod
    def of(cls, inputs: Tensor, lengths: Tensor | None) -> Reading:
        """Of a batch (batch, time, size) whose rows have these lengths."""
        if lengths is None:
            return cls(None, None)
        places = torch.arange(inputs.shape[1])
        mirrored = lengths.unsqueeze(1) - 1 - places
        order = torch.where(mirrored >= 0, mirrored, places).unsqueeze(2)
        return cls(lengths, order.to(inputs.device, non_blocking=True))

    def reverse(self, values: Tensor) -> Tensor:
        """Each row turned round within its own length, padding left in place; its own inverse. (batch, time, size)."""
        if self.order is None:
            return values.flip(1)
        return values.gather(1, self.order.expand(-1, -1, values.shape[2]))
