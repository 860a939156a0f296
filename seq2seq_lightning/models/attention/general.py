"""Bilinear attention: score = q · W h (Luong et al. 2015, eq. 8, `general`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.attention.attention import Attention, AttentionConfig
from seq2seq_lightning.models.state import Carried


@dataclass
class GeneralAttentionConfig(AttentionConfig):
    """Compare the query with a linear map of the encoder states."""

    name: str = "general"


class GeneralAttention(Attention):
    """q · W h; the map is applied to the encoder states, once per batch."""

    def __init__(self, config: AttentionConfig, query_size: int, key_size: int) -> None:
        super().__init__(config, query_size, key_size)
        self.key_map = nn.Linear(key_size, query_size, bias=False)

    def keys(self, encoder_states: Tensor) -> Tensor:
        """See ``Attention.keys``; (sentences, source_time, query_size)."""
        return self.key_map(encoder_states)

    def scores(self, asked: Tensor, keys: Tensor, carried: Carried | None = None) -> Tensor:
        """See ``Attention.scores``."""
        return torch.bmm(asked, keys.transpose(1, 2))

    def pair_products(self, state_size: int) -> int:
        """See ``Attention.pair_products``."""
        return self.key_map.out_features + state_size
