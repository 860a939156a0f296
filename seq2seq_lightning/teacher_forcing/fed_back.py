"""Which token the model hears of its own predictions; ids carry no gradient.

Both choices take the prediction as the model makes it: nothing is forbidden, so an untrained model may feed back even
``pad`` or ``bos``, as it might emit them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq_lightning.randomness import uniforms
from seq2seq_lightning.teacher_forcing.feeding import FedBackToken, TeacherForcingConfig

FedBack = Callable[[Tensor, int], Tensor]  # logits (batch, vocab), the position that predicted → ids (batch,)


@dataclass(frozen=True)
class ArgMax:
    """Feed back the most probable token; ties go to the smallest id that torch names."""

    def __call__(self, logits: Tensor, position: int) -> Tensor:
        """logits: (batch, vocab). Returns ids (batch,)."""
        return logits.detach().argmax(dim=-1)


@dataclass(frozen=True)
class Sample:
    """Feed back a token drawn from softmax(logits / temperature), by one uniform number per row and position.

    noise: (batch, target_time), in [0, 1). The token is the first whose cumulative probability exceeds the number, so
    a draw depends on the row's own logits and number alone.
    """

    noise: Tensor
    temperature: float = 1.0

    def __call__(self, logits: Tensor, position: int) -> Tensor:
        """logits: (batch, vocab). Returns ids (batch,)."""
        scores = logits.detach().to(self.noise.dtype) / self.temperature
        cumulative = torch.softmax(scores, dim=-1).cumsum(dim=-1)
        total = cumulative[:, -1:]
        below_total = torch.nextafter(
            total, torch.zeros_like(total)
        )  # rounding may not push a draw past the last token
        drawn = torch.minimum(self.noise[:, position, None] * total, below_total)
        ids = torch.searchsorted(cumulative, drawn, right=True).squeeze(-1)
        return ids.clamp(max=logits.size(-1) - 1)  # logits that are not numbers must not become an index out of range


def build_fed_back(
    config: TeacherForcingConfig, seed: int, update: int, places: Tensor, target_time: int
) -> ArgMax | Sample:
    """The choice of one update; the noise of ``sample`` is a pure function of (seed, update, place, position).

    places: (batch,), each row's place in the global batch, on the device of the logits to come.
    """
    if config.fed_back is FedBackToken.argmax:
        return ArgMax()
    return Sample(uniforms(seed, "sampling", update, places, target_time), config.temperature)
