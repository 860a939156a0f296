"""Depth and direction: cells stacked into a network for either side, with residuals and layer norms between them.

Per layer, x the input: ``cell(norm(x))`` or, with the norm after, ``norm(cell(x))``; the residual adds x to what the
cell gives, or joins the two, inside a norm that comes after. Dropout between layers acts on what the cell reads, not on
the residual. A pyramid joins pairs of positions before a layer reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from seq2seq_lightning.models.cells import build_cell
from seq2seq_lightning.models.cells.cell import Cell, CellConfig, CellStep
from seq2seq_lightning.models.dropout import LayerNoise, Noise, StackDropout, draw_mask, drop
from seq2seq_lightning.models.state import CellState


class Direction(Enum):
    """Which way a source is read."""

    forward = "forward"
    bidirectional = "bidirectional"
    bidirectional_first = "bidirectional_first"  # the first layer both ways, the others forward (Wu et al. 2016)


class Combine(Enum):
    """How the two directions of a layer become one."""

    concat = "concat"
    sum = "sum"
    project = "project"


class Residual(Enum):
    """What becomes of a layer's input beside its output, from the second layer on."""

    none = "none"
    add = "add"  # to the output
    concat = "concat"  # behind the output: sizes grow from layer to layer


class Norm(Enum):
    """Whether each layer has a layer norm of its own."""

    none = "none"
    layer = "layer"


class NormPlace(Enum):
    """Whether the norm acts on what a layer reads or on what it gives."""

    before = "before"
    after = "after"


@dataclass(frozen=True)
class LayerShape:
    """The form of one layer of a stack."""

    input_size: int  # of what the layer reads, pairs of positions joined
    final_size: int  # of the state it ends with, two directions combined
    output_size: int
    is_bidirectional: bool
    is_first: bool
    joins_pairs: bool  # of positions, before it reads


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
    pyramid: int = 0  # boundaries between layers, the lowest first, at which pairs of positions are joined

    def shapes(self, input_size: int) -> list[LayerShape]:
        """The form of each layer over inputs of this size."""
        shapes, size = [], input_size
        for index in range(self.layers):
            joins = 0 < index <= self.pyramid
            reads = 2 * size if joins else size
            both = self.direction is Direction.bidirectional or (
                self.direction is Direction.bidirectional_first and index == 0
            )
            final = 2 * self.hidden_size if both and self.combine is Combine.concat else self.hidden_size
            size = final + reads if index and self.residual is Residual.concat else final
            shapes.append(LayerShape(reads, final, size, both, index == 0, joins))
        return shapes

    @property
    def output_size(self) -> int:
        """The size of what the last layer gives: no layer but the first reads the inputs of the stack."""
        return self.shapes(0)[-1].output_size

    @property
    def final_sizes(self) -> tuple[int, ...]:
        """The size of each layer's final state."""
        return tuple(shape.final_size for shape in self.shapes(0))

    def shortened(self, lengths: Tensor) -> Tensor:
        """How many positions are left of sequences with these lengths, (batch,)."""
        for _ in range(self.pyramid):
            lengths = (lengths + 1) // 2
        return lengths


class Layer(nn.Module):
    """One layer of a stack: a cell per direction, their combination, and the norm and residual around them."""

    def __init__(self, cell: CellConfig, layout: Layout, shape: LayerShape) -> None:
        super().__init__()
        self.shape = shape
        input_size, both = shape.input_size, shape.is_bidirectional
        self.cell = build_cell(cell, input_size, layout.hidden_size)
        self.reverse_cell = build_cell(cell, input_size, layout.hidden_size) if both else None
        self.concatenates = layout.combine is not Combine.sum
        projects = both and layout.combine is Combine.project
        self.projection = nn.Linear(2 * layout.hidden_size, layout.hidden_size) if projects else None
        self.residual = Residual.none if shape.is_first else layout.residual
        before, norms = layout.norm_place is NormPlace.before, layout.norm is Norm.layer
        self.norm_before = nn.LayerNorm(input_size) if norms and before else None
        self.norm_after = nn.LayerNorm(shape.output_size) if norms and not before else None

    def unroll(
        self, inputs: Tensor, state: CellState | None, reading: Reading, noise: LayerNoise | None = None
    ) -> tuple[Tensor, CellState]:
        """Read the whole batch; see ``Stack.unroll``. inputs: pairs of positions joined where the layer does so."""
        noise = noise or LayerNoise()
        read = self.enter(inputs, noise.inputs)
        start = state or self.cell.initial_state(read.shape[0], read)
        outputs, end = _unroll(self.cell, read, start, reading.lengths, noise.cell)
        if self.reverse_cell is not None:
            start = self.reverse_cell.initial_state(read.shape[0], read)
            mirrored = reading.reverse(read)
            backward, first = _unroll(self.reverse_cell, mirrored, start, reading.lengths, noise.reverse_cell)
            outputs = self.combine(outputs, reading.reverse(backward))
            end = {name: self.combine(end[name], first[name]) for name in self.cell.handed_over()}
        return self.leave(inputs, outputs), end

    def step(
        self, inputs: Tensor, state: CellState, mask: Tensor | None, cell_step: CellStep
    ) -> tuple[Tensor, CellState]:
        """Read one position, forward layers only. inputs, mask: (rows, input_size)."""
        output, state = cell_step(self.enter(inputs, mask), state)
        return self.leave(inputs, output), state

    def draw(
        self, dropout: StackDropout, batch: int, time: int, training: bool, like: Tensor
    ) -> tuple[Noise | None, Noise | None]:
        """What is to disturb the cells of both directions in a sequence."""
        draw = (dropout, batch, time, training, like)
        backward = None if self.reverse_cell is None else self.reverse_cell.draw_noise
        return self.cell.draw_noise(*draw), None if backward is None else backward(*draw)

    def combine(self, onward: Tensor, backward: Tensor) -> Tensor:
        """Two directions' outputs, or final states, as one; each (..., hidden_size)."""
        if not self.concatenates:
            return onward + backward
        both = torch.cat((onward, backward), dim=-1)
        return both if self.projection is None else self.projection(both)

    def enter(self, inputs: Tensor, mask: Tensor | None) -> Tensor:
        """What the cell reads."""
        return drop(inputs if self.norm_before is None else self.norm_before(inputs), mask)

    def leave(self, inputs: Tensor, outputs: Tensor) -> Tensor:
        """What the layer gives, of what it read and what the cell gave."""
        match self.residual:
            case Residual.add:
                outputs = outputs + inputs
            case Residual.concat:
                outputs = torch.cat((outputs, inputs), dim=-1)
            case Residual.none:
                pass
        return outputs if self.norm_after is None else self.norm_after(outputs)


def _unroll(
    cell: Cell, inputs: Tensor, state: CellState, lengths: Tensor | None, noise: Noise | None
) -> tuple[Tensor, CellState]:
    if noise is None:
        return cell.unroll(inputs, state, lengths)
    return cell.unroll_under(noise, inputs, state, lengths)


class Stack(nn.Module):
    """Layers one above the other. ``layers[0]`` reads the inputs, the last one gives the outputs."""

    def __init__(self, cell: CellConfig, layout: Layout, input_size: int) -> None:
        super().__init__()
        self.layout, self.input_size, self.output_size = layout, input_size, layout.output_size
        layers = [Layer(cell, layout, shape) for shape in layout.shapes(input_size)]
        self.layers: Sequence[Layer] = nn.ModuleList(layers)  # type: ignore[assignment]
        self.bridged: tuple[str, ...] = self.layers[0].cell.bridged

    def initial_state(self, batch: int, like: Tensor) -> tuple[CellState, ...]:
        """Every layer's own start."""
        return tuple(layer.cell.initial_state(batch, like) for layer in self.layers)

    def draw(self, dropout: StackDropout, batch: int, time: int, training: bool, like: Tensor) -> list[LayerNoise]:
        """What is to disturb each layer in a sequence, drawn in this order: masks between layers, then cells.

        Called in evaluation too, where nothing is drawn but zoneout leaves its mean.
        """
        masks: list[Tensor | None] = [None]
        times = [time]
        for layer in self.layers[1:]:
            times.append((times[-1] + 1) // 2 if layer.shape.joins_pairs else times[-1])
            shape = (batch, 1 if dropout.variational else times[-1], layer.shape.input_size)
            masks.append(draw_mask(shape, dropout.layers, training, like))
        cells = [
            layer.draw(dropout, batch, its_time, training, like)
            for layer, its_time in zip(self.layers, times, strict=True)
        ]
        return [LayerNoise(mask, *cell) for mask, cell in zip(masks, cells, strict=True)]

    def unroll(
        self,
        inputs: Tensor,
        state: tuple[CellState, ...] | None,
        lengths: Tensor | None,
        noise: Sequence[LayerNoise] | None = None,
    ) -> tuple[Tensor, tuple[CellState, ...]]:
        """Read a padded batch.

        inputs: (batch, time, input_size); state: where each layer starts, None for its own start (and always with two
        directions); lengths: (batch,) on the CPU, None where all rows are full; noise: what `draw` gave.
        Returns outputs (batch, time, output_size), not to be trusted at padding, with a pyramid fewer positions; and
        per layer the state after the last real position, for two directions combined with the backward state at the
        first position.
        """
        reading = Reading.of(inputs, lengths)
        ends = []
        for index, layer in enumerate(self.layers):
            if layer.shape.joins_pairs:
                inputs, lengths = join_pairs(inputs, lengths)
                reading = Reading.of(inputs, lengths)
            start = None if state is None else state[index]
            inputs, end = layer.unroll(inputs, start, reading, None if noise is None else noise[index])
            ends.append(end)
        return inputs, tuple(ends)

    def begin(self, rows: int, time: int, noise: Sequence[LayerNoise] | None = None) -> list[CellStep]:
        """What each layer's cell does at the next ``time`` positions of as many rows; see ``Cell.begin``."""
        noise = noise or [LayerNoise()] * len(self.layers)
        return [layer.cell.begin(rows, time, its.cell) for layer, its in zip(self.layers, noise, strict=True)]

    def step(
        self,
        inputs: Tensor,
        state: tuple[CellState, ...],
        noise: Sequence[LayerNoise] | None = None,
        cell_steps: Sequence[CellStep] | None = None,
    ) -> tuple[Tensor, tuple[CellState, ...]]:
        """Read one position, forward stacks only.

        inputs: (rows, input_size); noise: of this position; cell_steps: as `begin` gave them, within a loop.
        """
        noise = noise or [LayerNoise()] * len(self.layers)
        cell_steps = cell_steps or [
            layer.cell.step if its.cell is None else layer.cell.begin(inputs.shape[0], 1, its.cell)
            for layer, its in zip(self.layers, noise, strict=True)
        ]
        ends = []
        for index, layer in enumerate(self.layers):
            inputs, end = layer.step(inputs, state[index], noise[index].inputs, cell_steps[index])
            ends.append(end)
        return inputs, tuple(ends)


def join_pairs(values: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Two adjacent positions as one (Chan et al. 2016, eq. 5), zeros standing in for the second of an odd end.

    values: (batch, time, size). Returns (batch, ⌈time / 2⌉, 2 · size) and the lengths of the rows.
    """
    batch, time, size = values.shape
    if lengths is not None:
        real = (torch.arange(time) < lengths.unsqueeze(1)).to(values.device, non_blocking=True)
        values = values.masked_fill(~real.unsqueeze(2), 0.0)
        lengths = (lengths + 1) // 2
    values = pad(values, (0, 0, 0, time % 2)) if time % 2 else values
    return values.reshape(batch, -1, 2 * size), lengths


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
