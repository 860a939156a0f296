"""An attention: score = β·cos(q, W h), the content addressing of Graves et al. 2014 (arXiv 1410.5401, eq. 5 and 6)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from seq2seq_lightning.models.attention.attention import Attention, AttentionConfig
from seq2seq_lightning.models.state import Carried


@dataclass
class CosineAttentionConfig(AttentionConfig):
    """Compare directions, whatever the lengths."""

    name: str = "cosine"  # model/attention=cosine
    sharpness: float = 10.0  # β: the largest score there can be

    def problems(self, query_size: int, key_size: int) -> list[str]:
        """All problems of a configuration are told at once, so they are listed, not raised."""
        if self.sharpness > 0:
            return []
        return [f"model.attention.sharpness is {self.sharpness}; it must be above 0, or no position is preferred."]


class CosineAttention(Attention):
    """β·cos(q, W h); masking, softmax and the weighted sum are the parent's."""

    def __init__(self, config: CosineAttentionConfig, query_size: int, key_size: int) -> None:
        super().__init__(config, query_size, key_size)
        self.sharpness = config.sharpness
        self.key_map = nn.Linear(key_size, query_size, bias=False)

    def keys(self, encoder_states: Tensor) -> Tensor:
        """What depends on the source alone, once per batch: (sentences, source_time, query_size), of length one."""
        return normalize(self.key_map(encoder_states), dim=-1)

    def scores(self, asked: Tensor, keys: Tensor, carried: Carried | None = None) -> Tensor:
        """asked: (sentences, queries, query_size) → (sentences, queries, source_time)."""
        return self.sharpness * torch.bmm(normalize(asked, dim=-1), keys.transpose(1, 2))

    def pair_products(self, state_size: int) -> int:
        """For the benchmark: multiply-adds of one query with one source position."""
        return self.key_map.out_features + state_size


ATTENTIONS = {CosineAttentionConfig: CosineAttention}
