"""Multi-head attention (Vaswani et al. 2017, §3.2.2): several scaled dot products beside one another.

head_k = Σᵢ aₖᵢ Vₖ hᵢ with scores (Qₖ q) · (Kₖ h) / √(size of a head); context = O [head_1; …; head_n].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.attention.attention import Attended, Attention, AttentionConfig, masked_softmax
from seq2seq_lightning.models.rules import at_least_one
from seq2seq_lightning.models.state import Carried, Memory


@dataclass
class MultiHeadAttentionConfig(AttentionConfig):
    """Compare in several small spaces at once, each with keys, values and weights of its own."""

    name: str = "multi_head"
    heads: int = 2
    size: int | None = None  # of all heads together, which share it equally; null: as the encoder states

    def problems(self, query_size: int, key_size: int) -> list[str]:
        """Heads are of one size."""
        found = at_least_one("model.attention.heads", self.heads) + at_least_one("model.attention.size", self.size)
        size = key_size if self.size is None else self.size
        if found or size % self.heads == 0:
            return found
        whose = "the encoder states'" if self.size is None else "`model.attention.size`"
        return [
            f"`model.attention.heads={self.heads}` share a size equally, but do not divide {size}, {whose}. Set "
            f"`model.attention.size={-(-size // self.heads) * self.heads}` or another number of heads."
        ]


class MultiHeadAttention(Attention):
    """Heads in a row; the context is as large as an encoder state, and the weights told are the mean of the heads'."""

    def __init__(self, config: MultiHeadAttentionConfig, query_size: int, key_size: int) -> None:
        size = key_size if config.size is None else config.size
        super().__init__(config, query_size, key_size)
        self.heads, self.size = config.heads, size
        self.query_map = nn.Linear(query_size, size, bias=False)
        self.key_map = nn.Linear(key_size, size, bias=False)
        self.value_map = nn.Linear(key_size, size, bias=False)
        self.output_map = nn.Linear(size, key_size, bias=False)

    def keys(self, encoder_states: Tensor) -> Tensor:
        """See ``Attention.keys``; (sentences, heads, source_time, head size)."""
        return self._split(self.key_map(encoder_states)).contiguous()

    def values(self, encoder_states: Tensor) -> Tensor:
        """See ``Attention.values``; (sentences, heads, source_time, head size)."""
        return self._split(self.value_map(encoder_states)).contiguous()

    def scores(self, asked: Tensor, keys: Tensor, carried: Carried | None = None) -> Tensor:
        """See ``Attention.scores``; (sentences, heads · queries, source_time)."""
        queries = self._split(asked / math.sqrt(self.size // self.heads)).flatten(0, 1)
        scores = torch.bmm(queries, keys.flatten(0, 1).transpose(1, 2))
        return scores.view(asked.shape[0], -1, keys.shape[2])

    def look(self, asked: Tensor, memory: Memory, carried: Carried | None) -> Attended:
        """See ``Attention.look``."""
        assert memory.keys is not None and memory.values is not None
        weights = masked_softmax(self.scores(asked, memory.keys), memory.is_padding)
        weights = weights.unflatten(1, (self.heads, -1))  # (sentences, heads, queries, source_time)
        values = memory.values.flatten(0, 1)
        context = torch.bmm(weights.flatten(0, 1).to(values.dtype), values).unflatten(0, (-1, self.heads))
        return Attended(context.transpose(1, 2).flatten(2), weights.mean(1))

    def pair_products(self, state_size: int) -> int:
        """See ``Attention.pair_products``."""
        return 2 * self.size

    def _split(self, values: Tensor) -> Tensor:
        """(sentences, time, size) → (sentences, heads, time, head size)."""
        return values.unflatten(2, (self.heads, -1)).transpose(1, 2)
