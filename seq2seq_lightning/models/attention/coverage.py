"""Coverage-aware attention: score = v · tanh(W q + U h + b + w c), c = Σ a of all positions before (See et al. 2017,
eqs. 10, 11)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.attention.additive import AdditiveAttention, AdditiveAttentionConfig
from seq2seq_lightning.models.attention.attention import no_weights
from seq2seq_lightning.models.state import Carried, Memory


@dataclass
class CoverageAttentionConfig(AdditiveAttentionConfig):
    """Compare through a hidden layer that also sees how much attention a place has had so far."""

    name: str = "coverage"

    def carries(self) -> bool:
        """See ``AttentionConfig.carries``: the sum of the weights."""
        return True


class CoverageAttention(AdditiveAttention):
    """Additive, with the coverage vector: the sum of all weights so far, zero before the first position."""

    def __init__(self, config: CoverageAttentionConfig, query_size: int, key_size: int) -> None:
        super().__init__(config, query_size, key_size)
        self.coverage_map = nn.Linear(1, self.size, bias=False)

    def start(self, memory: Memory) -> Carried:
        """See ``Attention.start``."""
        return {"coverage": no_weights(memory)}

    def carry(self, weights: Tensor, carried: Carried | None) -> Carried:
        """See ``Attention.carry``; summed as wide as weights are, in 16-bit models too."""
        assert carried is not None
        return {"coverage": carried["coverage"] + weights}

    def history(self, carried: Carried | None, dtype: torch.dtype) -> Tensor:
        """See ``AdditiveAttention.history``."""
        assert carried is not None
        return self.coverage_map(carried["coverage"].to(dtype).unsqueeze(3))

    def pair_products(self, state_size: int) -> int:
        """See ``Attention.pair_products``."""
        return super().pair_products(state_size) + self.size
