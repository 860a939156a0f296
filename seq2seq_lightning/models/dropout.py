"""Regularisation drawn once for a whole sequence, so that a fused pass and a stepwise loop are disturbed alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


class StackDropout(Protocol):
    """The settings of either side that a stack draws from."""

    layers: float
    variational: bool
    recurrent: float
    zoneout: float
    weight: float


def draw_mask(shape: Sequence[int], probability: float, training: bool, like: Tensor) -> Tensor | None:
    """A mask to multiply with: 0 with the given probability, 1 / (1 − probability) elsewhere (inverted dropout).

    Drawn from torch's global generator; None where nothing is dropped, and then nothing is drawn.
    """
    if not training or probability == 0.0:
        return None
    keep = 1.0 - probability
    return like.new_empty(tuple(shape)).bernoulli_(keep).div_(keep)


def drop(values: Tensor, mask: Tensor | None) -> Tensor:
    """The values that the mask leaves."""
    return values if mask is None else values * mask


@dataclass(frozen=True)
class Noise:
    """What disturbs one cell while it reads a sequence.

    ``keep`` says, per group of states that zoneout treats alike, which units keep their previous values: True there, or
    in evaluation the share of it that stays.
    """

    hidden: Tensor | None = None  # (batch, hidden_size): mask of what the recurrent matrices read, at every position
    weights: Mapping[str, Tensor] = field(default_factory=dict)  # masks of the recurrent matrices, by parameter
    keep: Mapping[str, Tensor | float] = field(default_factory=dict)  # (batch, time, hidden_size) bool, or a share

    def keeps(self, time: int) -> list[dict[str, Tensor | float]]:
        """``keep`` at each position, (batch, hidden_size)."""
        spread = {
            name: [keep] * time if isinstance(keep, float) else keep.unbind(1) for name, keep in self.keep.items()
        }
        return [{name: keep[position] for name, keep in spread.items()} for position in range(time)]

    def positions(self, time: int) -> list[Noise]:
        """The noise of each position alone, as a sequence of one."""
        return [
            Noise(
                self.hidden,
                self.weights,
                {name: keep if isinstance(keep, float) else keep.unsqueeze(1) for name, keep in at.items()},
            )
            for at in self.keeps(time)
        ]

    def between(self, begin: int, end: int) -> Noise:
        """The noise of some positions."""
        keep = {name: keep if isinstance(keep, float) else keep[:, begin:end] for name, keep in self.keep.items()}
        return Noise(self.hidden, self.weights, keep)


@dataclass(frozen=True)
class LayerNoise:
    """What disturbs one layer of a stack while it reads a sequence."""

    inputs: Tensor | None = None  # (batch, time or 1, size), or (rows, size) at one position: what it reads from below
    cell: Noise | None = None
    reverse_cell: Noise | None = None  # of the direction that reads backwards

    def positions(self, time: int) -> list[LayerNoise]:
        """The noise of each position, forward layers only."""
        inputs = _positions(self.inputs, time)
        cells: Sequence[Noise | None] = [None] * time if self.cell is None else self.cell.positions(time)
        return [LayerNoise(*at) for at in zip(inputs, cells, strict=True)]

    def between(self, begin: int, end: int) -> LayerNoise:
        """The noise of some positions, forward layers only."""
        inputs = self.inputs
        if inputs is not None and inputs.shape[1] > 1:
            inputs = inputs[:, begin:end]
        return LayerNoise(inputs, None if self.cell is None else self.cell.between(begin, end))


@dataclass(frozen=True)
class Masks:
    """What dropout leaves in a decoder: (batch, target_time or 1, …), or (rows, …) for one position."""

    embedding: Tensor | None
    layers: list[LayerNoise]  # one per layer
    context: Tensor | None
    output: Tensor | None
    transition: Noise | None = None  # of the second cell of a conditional decoder

    def positions(self, time: int) -> list[Masks]:
        """The masks of each position."""
        transition: Sequence[Noise | None] = (
            [None] * time if self.transition is None else self.transition.positions(time)
        )
        embedding, context, output = (_positions(mask, time) for mask in (self.embedding, self.context, self.output))
        layers = [layer.positions(time) for layer in self.layers]
        return [
            Masks(
                embedding[position],
                [layer[position] for layer in layers],
                context[position],
                output[position],
                transition[position],
            )
            for position in range(time)
        ]


def _positions(mask: Tensor | None, time: int) -> Sequence[Tensor | None]:
    """A mask at each position; one that all positions share has a single one."""
    if mask is None:
        return [None] * time
    return mask.unbind(1) if mask.shape[1] == time else [mask.squeeze(1)] * time
