"""What every attention does: score the source positions against queries, weigh them, and sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.deferred import DeferredLinear
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
    weights: Tensor  # (sentences, queries, source_time): exactly zero at padding, summing to one; float32 or better
    carried: Carried | None = None  # for the next position of each query, (sentences, queries, …)


Attend = Callable[[Tensor, Memory, Carried | None], Attended]
"""(queries (sentences, queries, query_size), memory, carried (sentences, queries, …)) → what the attention found."""
Map = Callable[[Tensor], Tensor]


class Attention(nn.Module):
    """A score, and what all scores share.

    Queries come as (sentences, queries, query_size): a whole target at once, the beam of each sentence, or one each.
    An attention that carries something between positions never gets a whole target.
    """

    query_map: nn.Linear | None  # acts on the queries before they are compared; None: nothing does
    output_map: nn.Linear | None  # acts on the context

    def __init__(self, config: AttentionConfig, query_size: int, key_size: int) -> None:
        del config, query_size, key_size
        super().__init__()
        self.query_map = self.output_map = None

    def keys(self, encoder_states: Tensor) -> Tensor:
        """What the queries are compared with, made once per batch: (sentences, …, source_time, …)."""
        return encoder_states

    def values(self, encoder_states: Tensor) -> Tensor | None:
        """What is summed, made once per batch: (sentences, …); None: the encoder states."""
        del encoder_states
        return None

    def start(self, memory: Memory) -> Carried | None:
        """What is carried to the first position, (sentences, …) each; None for an attention that carries nothing."""
        del memory
        return None

    def carry(self, weights: Tensor, carried: Carried | None) -> Carried | None:
        """What is carried on from a position with these weights (sentences, queries, source_time)."""
        del weights, carried
        return None

    def scores(self, asked: Tensor, keys: Tensor, carried: Carried | None = None) -> Tensor:
        """(sentences, queries, source_time), not yet masked or normalised.

        asked: (sentences, queries, …), the queries as ``query_map`` maps them.
        """
        raise NotImplementedError

    def pair_products(self, state_size: int) -> int:
        """The multiply-adds of one query with one source position: their comparison, and the sum of the states."""
        return 2 * state_size

    def forward(self, queries: Tensor, memory: Memory, carried: Carried | None = None) -> Attended:
        """Attend. queries: (sentences, queries, query_size); carried: (sentences, queries, …) each."""
        return self._ask(queries, memory, carried, self.query_map, self.output_map)

    def begin(self, rows: int, time: int) -> Attend:
        """``forward`` with one query per sentence for the next ``time`` positions.

        In training the gradients of the maps wait for all positions.
        """
        if not torch.is_grad_enabled():
            return self.forward
        query_map, output_map = (_deferred(each, rows, time) for each in (self.query_map, self.output_map))

        def ask(queries: Tensor, memory: Memory, carried: Carried | None = None) -> Attended:
            return self._ask(queries, memory, carried, query_map, output_map)

        return ask

    def look(self, asked: Tensor, memory: Memory, carried: Carried | None) -> Attended:
        """Weigh and sum, before ``output_map``. asked: as for ``scores``."""
        assert memory.keys is not None
        found = attend(self.scores(asked, memory.keys, carried), memory)
        return replace(found, carried=self.carry(found.weights, carried))

    def _ask(
        self, queries: Tensor, memory: Memory, carried: Carried | None, query_map: Map | None, output_map: Map | None
    ) -> Attended:
        found = self.look(queries if query_map is None else query_map(queries), memory, carried)
        return found if output_map is None else replace(found, context=output_map(found.context))


def _deferred(linear: nn.Linear | None, rows: int, time: int) -> Map | None:
    """The map at one position after the other; values: (rows, 1, size)."""
    if linear is None:
        return None
    deferred = DeferredLinear(linear.weight, linear.bias, rows, time)
    return lambda values: deferred(values.squeeze(1)).unsqueeze(1)


def attend(scores: Tensor, memory: Memory) -> Attended:
    """The weights that scores (sentences, queries, source_time) become, and the context they give."""
    weights = masked_softmax(scores, memory.is_padding)
    return Attended(torch.bmm(weights.to(memory.states.dtype), memory.states), weights)


def masked_softmax(scores: Tensor, is_padding: Tensor) -> Tensor:
    """Softmax over the last axis with exact zeros at padding, in float32 or better.

    scores: (sentences, queries, source_time); is_padding: (sentences, 1, source_time).
    """
    wide = scores if scores.dtype is torch.float64 else scores.float()
    return torch.softmax(wide.masked_fill(is_padding, torch.finfo(wide.dtype).min), dim=-1)


def no_weights(memory: Memory) -> Tensor:
    """Weights of nothing, the past before the first position: zeros (sentences, source_time), as wide as weights."""
    dtype = torch.float64 if memory.states.dtype is torch.float64 else torch.float32
    return memory.states.new_zeros(memory.mask.shape, dtype=dtype)
