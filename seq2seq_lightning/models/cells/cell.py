"""What every recurrent cell offers: one layer, one direction, as a whole sequence (unroll) or one position (step)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.dropout import Noise, StackDropout, draw_mask
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
    elementwise = "elementwise"  # one weight per unit, no matrix


@dataclass
class CellConfig:
    """The choice of a cell; each cell has its own subclass."""

    name: str = "cell"  # the option under `model/cell`
    bias: bool = True  # whether the gates have bias vectors

    def problems(self, key: str, hidden_size: int) -> list[str]:
        """The rules of these fields on the side `model.encoder` or `model.decoder`, which is the key."""
        del key, hidden_size
        return []


class Cell(nn.Module):
    """One recurrent layer in one direction. Depth, direction, residuals and norms live in ``models.stack``.

    A state is a dict of named batch-first tensors. ``hidden`` is always one of them, (batch, hidden_size), and
    equals the last output.
    """

    bridged: ClassVar[tuple[str, ...]] = ("hidden",)  # the states that a bridge fills; the others start as initial
    zoned: ClassVar[tuple[str, ...]] = ("hidden",)  # the states that zoneout keeps or renews, each by masks of its own
    is_recurrent: ClassVar[bool] = (
        False  # whether matrices read its own output: `dropout.recurrent`, `.weight` act there
    )
    gates: ClassVar[int] = 1  # how many matrices are stacked along the first axis of each weight
    forget_gate: ClassVar[int | None] = None  # which of them is a forget gate, if there is one

    input_size: int
    hidden_size: int

    @classmethod
    def handed_over(cls) -> tuple[str, ...]:
        """The states that an encoder hands over, (batch, hidden_size) each."""
        return tuple(dict.fromkeys(("hidden", *cls.bridged)))

    def initial_state(self, batch: int, like: Tensor) -> CellState:
        """Where the cell starts when nothing else is said: zeros, in the dtype and on the device of ``like``."""
        return {name: like.new_zeros(batch, self.hidden_size) for name in self.handed_over()}

    def start(self, given: CellState) -> CellState:
        """Where the cell starts when a bridge has filled the states ``bridged``, (batch, hidden_size) each."""
        hidden = next(iter(given.values()))
        return {**self.initial_state(hidden.shape[0], hidden), **given}

    def unroll(self, inputs: Tensor, state: CellState, lengths: Tensor | None = None) -> tuple[Tensor, CellState]:
        """Read a padded batch from left to right.

        inputs: (batch, time, input_size); lengths: (batch,) int64 on the CPU, None where every row is full.
        Returns outputs (batch, time, hidden_size), not to be trusted at padding, and each row's state after its own
        last real position.
        """
        raise NotImplementedError

    def unroll_under(
        self, noise: Noise, inputs: Tensor, state: CellState, lengths: Tensor | None = None
    ) -> tuple[Tensor, CellState]:
        """``unroll`` under noise: by default position after position."""
        batch, time = inputs.shape[:2]
        return loop(self.begin(batch, time, noise), inputs.unbind(1), state, lengths)

    def step(self, inputs: Tensor, state: CellState) -> tuple[Tensor, CellState]:
        """Read one position. inputs: (rows, input_size). Returns the output (rows, hidden_size) and the new state."""
        raise NotImplementedError

    def begin(self, rows: int, time: int, noise: Noise | None = None) -> CellStep:
        """``step`` for the next ``time`` positions of as many rows, free to share work between them, under noise.

        A cell with recurrent matrices heeds ``noise.hidden`` and ``noise.weights``; zoneout is the same for all.
        """
        return self.zone_out(self.step, time, noise)

    def draw_noise(self, dropout: StackDropout, batch: int, time: int, training: bool, like: Tensor) -> Noise | None:
        """What is to disturb this cell in a sequence, drawn in this order; None where nothing does."""
        hidden = draw_mask((batch, self.hidden_size), dropout.recurrent, training, like)
        recurrent = (name for name, kind in self.parameter_kinds().items() if kind is Kind.recurrent)
        drawn = {name: draw_mask(self.get_parameter(name).shape, dropout.weight, training, like) for name in recurrent}
        weights = {name: mask for name, mask in drawn.items() if mask is not None}
        keep: dict[str, Tensor | float] = {}
        if dropout.zoneout:
            shape = (batch, time, self.hidden_size)
            for name in self.zoned:
                keep[name] = like.new_empty(shape).bernoulli_(dropout.zoneout).bool() if training else dropout.zoneout
        return None if hidden is None and not weights and not keep else Noise(hidden, weights, keep)

    def zone_out(self, step: CellStep, time: int, noise: Noise | None) -> CellStep:
        """``step`` followed by zoneout (Krueger et al. 2017) at the next ``time`` positions."""
        if noise is None or not noise.keep:
            return step
        keeps = iter(noise.keeps(time))

        def zoned(inputs: Tensor, state: CellState) -> tuple[Tensor, CellState]:
            state = self.mix(state, step(inputs, state)[1], next(keeps))
            return state["hidden"], state

        return zoned

    def mix(self, old: CellState, new: CellState, keep: Mapping[str, Tensor | float]) -> CellState:
        """The new state in which the units that ``keep`` names are as they were, or that share of each is."""
        kept = {name: keep_units(old[name], new[name], units) for name, units in keep.items()}
        return {**new, **kept}

    def parameter_kinds(self) -> dict[str, Kind]:
        """The kind of each parameter by its name within the cell; every parameter is listed."""
        raise NotImplementedError

    def state_products(self) -> int:
        """Multiply-adds per position that are not with a weight matrix: of a state that is a matrix."""
        return 0

    def forget_biases(self) -> list[Tensor]:
        """The biases of the forget gate, which act in sum; none where there is no such gate or no bias."""
        if self.forget_gate is None:
            return []
        names = (name for name, kind in self.parameter_kinds().items() if kind is Kind.bias)
        return [self.get_parameter(name).chunk(self.blocks(name))[self.forget_gate] for name in names]

    def blocks(self, name: str) -> int:
        """How many matrices are stacked along the first axis of a parameter, each drawn by itself."""
        del name
        return self.gates


def keep_units(old: Tensor, new: Tensor, keep: Tensor | float) -> Tensor:
    """Where ``keep`` is True the old value, elsewhere the new one; of a float, their weighted mean."""
    return torch.where(keep, old, new) if isinstance(keep, Tensor) else new + keep * (old - new)


def loop(
    step: CellStep, inputs: Sequence[Tensor], state: CellState, lengths: Tensor | None
) -> tuple[Tensor, CellState]:
    """``step`` at one position after the other; a row that has ended keeps its state.

    inputs: what the step reads at each position, (batch, size). Returns what ``Cell.unroll`` does.
    """
    full = len(inputs) if lengths is None else int(lengths.min())
    running = [] if lengths is None else _running(lengths, len(inputs), inputs[0].device)
    outputs = []
    for position, values in enumerate(inputs):
        output, new = step(values, state)
        outputs.append(output)
        state = new if position < full else _freeze(running[position], new, state)
    return torch.stack(outputs, 1), state


def last_real(values: Tensor, lengths: Tensor | None) -> Tensor:
    """What stands at each row's last real position. values: (batch, time, size). Returns (batch, size)."""
    if lengths is None:
        return values[:, -1]
    places = (lengths - 1).view(-1, 1, 1).to(values.device, non_blocking=True)
    return values.gather(1, places.expand(-1, -1, values.shape[2])).squeeze(1)


def _running(lengths: Tensor, time: int, device: torch.device) -> Sequence[Tensor]:
    """Per position, which rows have not ended: (batch,) bool."""
    running = torch.arange(time).unsqueeze(1) < lengths
    return running.to(device, non_blocking=True).unbind(0)


def _freeze(running: Tensor, new: CellState, old: CellState) -> CellState:
    return {
        name: torch.where(running.view(-1, *[1] * (values.dim() - 1)), values, old[name])
        for name, values in new.items()
    }
