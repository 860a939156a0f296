"""What the model hears of its own predictions: ids, which carry no gradient, or a mixture of embeddings, which does.

Every choice takes the prediction as the model makes it: nothing is forbidden, so an untrained model may feed back even
``pad`` or ``bos``, as it might emit them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq_lightning.randomness import drawn, uniforms
from seq2seq_lightning.teacher_forcing.feeding import FedBackToken, TeacherForcingConfig

FedBack = Callable[[Tensor, Tensor, int | Tensor], Tensor]
"""(logits (n, vocab), rows (n,), the position that is fed: of each, or one of all) → ids (n,), or what mixes them."""


@dataclass(frozen=True)
class ArgMax:
    """Feed back the most probable token; ties go to the smallest id that torch names."""

    def __call__(self, logits: Tensor, rows: Tensor, position: int | Tensor) -> Tensor:
        """logits: (n, vocab). Returns ids (n,)."""
        return logits.detach().argmax(dim=-1)


@dataclass(frozen=True)
class Sample:
    """Feed back a token drawn from softmax(logits / temperature), by one uniform number per row and position.

    noise: (batch, target_time), in [0, 1). A draw depends on the row's own logits and number alone.
    """

    noise: Tensor
    temperature: float = 1.0

    def __call__(self, logits: Tensor, rows: Tensor, position: int | Tensor) -> Tensor:
        """logits: (n, vocab). Returns ids (n,)."""
        scores = logits.detach().to(self.noise.dtype) / self.temperature
        return drawn(scores, self.noise[rows, position])


@dataclass(frozen=True)
class Gumbel:
    """Mix all embeddings by softmax((logits + g) / temperature), g = -ln(-ln u) (Jang et al. 2017, arXiv 1611.01144).

    Gradients pass through the mixture into the logits. ``hard`` feeds the embedding of the largest weight alone and
    takes the gradient of the mixture (straight through). The uniform number u of a word is a pure function of (seed,
    update, place, position, word); places: (batch,).
    """

    seed: int
    update: int
    places: Tensor
    temperature: float = 1.0
    hard: bool = False

    def __call__(self, logits: Tensor, rows: Tensor, position: int | Tensor) -> Tensor:
        """logits: (n, vocab). Returns weights (n, vocab), each row summing to one."""
        assert isinstance(position, int), "mixtures are made one position after the other"
        uniform = uniforms(self.seed, f"gumbel/{position}", self.update, self.places[rows], logits.size(-1))
        wide = logits if logits.dtype is torch.float64 else logits.float()
        noise = -torch.log(-torch.log(uniform.clamp(min=2.0**-53)))
        weights = torch.softmax((wide + noise.to(wide.dtype)) / self.temperature, dim=-1)
        if not self.hard:
            return weights
        one_hot = torch.zeros_like(weights).scatter_(1, weights.argmax(dim=-1, keepdim=True), 1.0)
        return one_hot + weights - weights.detach()


def build_fed_back(
    config: TeacherForcingConfig, seed: int, update: int, places: Tensor, target_time: int
) -> ArgMax | Sample | Gumbel:
    """The choice of one update; all noise is a pure function of (seed, update, place, position).

    places: (batch,), each row's place in the global batch, on the device of the logits to come.
    """
    if config.fed_back is FedBackToken.argmax:
        return ArgMax()
    if config.fed_back is FedBackToken.gumbel:
        return Gumbel(seed, update, places, config.temperature, config.hard)
    return Sample(uniforms(seed, "sampling", update, places, target_time), config.temperature)
