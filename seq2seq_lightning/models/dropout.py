"""Dropout as masks drawn once for a whole sequence, so that a fused pass and a stepwise loop drop the same units."""

from __future__ import annotations

from collections.abc import Sequence

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
