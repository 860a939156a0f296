"""Several models as one: at each step their distributions are averaged, each going on with its own state.

`log_probs` averages log-probabilities and normalises anew, the geometric mean: a word that one model excludes is out.
`probabilities` averages probabilities, the arithmetic mean: what one model believes in stays possible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor

from seq2seq_lightning.decoding.protocol import StepDecoder


class Average(Enum):
    """What of the members' distributions is averaged."""

    log_probs = "log_probs"  # (1/k) Σ log p_i, normalised anew
    probabilities = "probabilities"  # log (1/k) Σ p_i


@dataclass(frozen=True)
class Together:
    """The states, or the memories, of all members."""

    members: tuple[Any, ...]

    def select(self, rows: Tensor) -> Together:
        """Of these rows or sentences, in this order."""
        return Together(tuple(each.select(rows) for each in self.members))


@dataclass(frozen=True)
class EnsembleOutput:
    """See ``protocol.StepOutput``."""

    log_probs: Tensor
    attention: Tensor | None
    state: Together


@dataclass(frozen=True)
class Ensemble:
    """A ``StepDecoder`` made of others, which write the same ids. One member alone is that member, to the bit."""

    decoders: Sequence[StepDecoder]
    average: Average = Average.log_probs

    def step(self, tokens: Tensor, state: Together, memory: Together) -> EnsembleOutput:
        """Every member advances by the same tokens. Attention is the mean of the members', None if one has none."""
        parts = zip(self.decoders, state.members, memory.members, strict=True)
        outputs = [decoder.step(tokens, own_state, own_memory) for decoder, own_state, own_memory in parts]
        attention = [output.attention for output in outputs if output.attention is not None]
        return EnsembleOutput(
            averaged([output.log_probs for output in outputs], self.average),
            torch.stack(attention).mean(0) if len(attention) == len(outputs) else None,
            Together(tuple(output.state for output in outputs)),
        )


def averaged(log_probs: Sequence[Tensor], average: Average) -> Tensor:
    """The log-probabilities of the ensemble: (rows, vocab), from those of its members, each (rows, vocab) and fresh."""
    if len(log_probs) == 1:
        return log_probs[0]
    total, count = log_probs[0], len(log_probs)
    if average is Average.probabilities:
        for each in log_probs[1:]:
            total = torch.logaddexp(total, each)
        return total - math.log(count)
    for each in log_probs[1:]:
        total = total + each
    total = total / count
    norm = total.logsumexp(dim=1, keepdim=True)
    return total - norm.masked_fill(norm == -torch.inf, 0.0)  # nothing is possible where members exclude each other
