"""Additive attention: score = v · tanh(W q + U h + b) (Bahdanau et al. 2015, A.1.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.attention.attention import Attend, Attended, Attention, AttentionConfig, attend
from seq2seq_lightning.models.deferred import DeferredLinear
from seq2seq_lightning.models.rules import at_least_one
from seq2seq_lightning.models.state import Carried, Memory


@dataclass
class AdditiveAttentionConfig(AttentionConfig):
    """Compare through a hidden layer."""

    name: str = "additive"
    size: int | None = None  # of the hidden layer; null: as the query

    def problems(self, query_size: int, key_size: int) -> list[str]:
        """The hidden layer needs at least one unit."""
        return at_least_one("model.attention.size", self.size)


class AdditiveAttention(Attention):
    """v · tanh(W q + U h + b); U h + b is the key, made once per batch."""

    def __init__(self, config: AdditiveAttentionConfig, query_size: int, key_size: int) -> None:
        super().__init__()
        size = query_size if config.size is None else config.size
        self.query_map = nn.Linear(query_size, size, bias=False)
        self.key_map = nn.Linear(key_size, size)
        self.score_map = nn.Linear(size, 1, bias=False)

    def keys(self, encoder_states: Tensor) -> Tensor:
        """See ``Attention.keys``; (sentences, source_time, attention size)."""
        return self.key_map(encoder_states)

    def scores(self, queries: Tensor, keys: Tensor) -> Tensor:
        """See ``Attention.scores``."""
        return self._compare(self.query_map(queries), keys)

    def begin(self, rows: int, time: int) -> Attend:
        """See ``Attention.begin``: in training the gradient of W waits for all positions."""
        if not torch.is_grad_enabled():
            return self.forward
        query_map = DeferredLinear(self.query_map.weight, None, rows, time)

        def ask(queries: Tensor, memory: Memory, carried: Carried | None = None) -> Attended:
            assert memory.keys is not None and carried is None
            return attend(self._compare(query_map(queries.squeeze(1)).unsqueeze(1), memory.keys), memory)

        return ask

    def _compare(self, queries: Tensor, keys: Tensor) -> Tensor:
        """queries: (sentences, queries, size) as W maps them."""
        return self.score_map(torch.tanh(queries.unsqueeze(2) + keys.unsqueeze(1))).squeeze(3)
