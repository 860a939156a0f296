"""What every attention does: score the source positions against queries, weigh them, and sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.state import Carried, Memory


@dataclass
class AttentionConfig:
    """The choice of a score; each attention has its own subclass."""

    name: str = "attention"  # the option under `model/attention`

    def problems(self, query_size: int, key_size: int) -> list[str]:
        """What makes this attention impossible between these sizes."""
        del query_size, key_size
        return []

    def carries(self) -> bool:
        """Whether what it found at one position decides the scores of the next: then no two are computed at once."""
        return False


@dataclass(frozen=True)
class Attended:
    """What an attention found."""

    context: Tensor  # (sentences, queries, size): the weighted sum of encoder states
    weights: Tensor  # (sentences, queries, source_time): exactly zero at padding, summing to one
    carried: Carried | None = None  # for the next position of each query, (sentences, queries, …)


Attend = Callable[[Tensor, Memory, Carried | None], Attended]
"""(queries (sentences, queries, query_size), memory, carried (sentences, queries, …)) → what the attention found."""


class Attention(nn.Module):
    """A score, and what all scores share.

    Queries come as (sentences, queries, query_size): a whole target at once, the beam of each sentence, or one each.
    An attention that carries something between positions never gets a whole target.
    """

    def keys(self, encoder_states: Tensor) -> Tensor:
        """What the queries are compared with, made once per batch: (sentences, source_time, …)."""
        return encoder_states

    def start(self, memory: Memory) -> Carried | None:
        """What is carried to the first position, (sentences, …) each; None for an attention that carries nothing."""
        del memory
        return None

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """(sentences, queries, source_time), not yet masked or normalised."""
        raise NotImplementedError

    def begin(self, rows: int, time: int) -> Attend:
        """``forward`` with one query per sentence, for the next ``time`` positions, free to share work between them."""
        del rows, time
        return self.forward

    def forward(self, queries: Tensor, memory: Memory, carried: Carried | None = None) -> Attended:
        """Attend. queries: (sentences, queries, query_size); carried: (sentences, queries, …) each."""
        assert memory.keys is not None and carried is None
        return attend(self.scores(queries, memory.keys), memory)


def attend(scores: Tensor, memory: Memory) -> Attended:
    """The weights that scores (sentences, queries, source_time) become, and the context they give."""
    weights = masked_softmax(scores, memory.is_padding).to(memory.states.dtype)
    return Attended(torch.bmm(weights, memory.states), weights)


def masked_softmax(scores: Tensor, is_padding: Tensor) -> Tensor:
    """Softmax over the last axis with exact zeros at padding, in float32 or better.

    scores: (sentences, queries, source_time); is_padding: (sentences, 1, source_time).
    """
    wide = scores if scores.dtype is torch.float64 else scores.float()
    return torch.softmax(wide.masked_fill(is_padding, torch.finfo(wide.dtype).min), dim=-1)
