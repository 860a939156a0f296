"""Dropout as masks drawn once for a whole sequence, so that a fused pass and a stepwise loop drop the same units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


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
class Masks:
    """What dropout leaves in a decoder: (batch, target_time, …), or (rows, …) for one position; None: all is left."""

    embedding: Tensor | None
    layers: list[Tensor | None]
    context: Tensor | None
    output: Tensor | None

    def positions(self, time: int) -> list[Masks]:
        """The masks of each position."""
        embedding, context, output = (_positions(mask, time) for mask in (self.embedding, self.context, self.output))
        layers = [_positions(mask, time) for mask in self.layers]
        return [
            Masks(embedding[position], [mask[position] for mask in layers], context[position], output[position])
            for position in range(time)
        ]


def _positions(mask: Tensor | None, time: int) -> Sequence[Tensor | None]:
    return [None] * time if mask is None else mask.unbind(1)
