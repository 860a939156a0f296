"""Additive attention: score = v · tanh(W q + U h + b) (Bahdanau et al. 2015, A.1.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.attention.attention import Attention, AttentionConfig
from seq2seq_lightning.models.rules import at_least_one
from seq2seq_lightning.models.state import Carried


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
        size = query_size if config.size is None else config.size
        super().__init__(config, query_size, key_size)
        self.size = size
        self.query_map = nn.Linear(query_size, size, bias=False)
        self.key_map = nn.Linear(key_size, size)
        self.score_map = nn.Linear(size, 1, bias=False)

    def keys(self, encoder_states: Tensor) -> Tensor:
        """See ``Attention.keys``; (sentences, source_time, attention size)."""
        return self.key_map(encoder_states)

    def scores(self, asked: Tensor, keys: Tensor, carried: Carried | None = None) -> Tensor:
        """See ``Attention.scores``."""
        hidden = asked.unsqueeze(2) + keys.unsqueeze(1)
        history = self.history(carried, keys.dtype)
        return self.score_map(torch.tanh(hidden if history is None else hidden + history)).squeeze(3)

    def history(self, carried: Carried | None, dtype: torch.dtype) -> Tensor | None:
        """What the past adds inside of tanh, (sentences, queries, source_time, attention size)."""
        del carried, dtype
        return None

    def pair_products(self, state_size: int) -> int:
        """See ``Attention.pair_products``."""
        return self.size + state_size
