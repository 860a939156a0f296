"""Location-aware attention: score = v · tanh(W q + U h + b + P f), f = F * a₋ (Chorowski et al. 2015).

a₋ are the weights of the position before, convolved over source positions with a bank of filters F.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.attention.additive import AdditiveAttention, AdditiveAttentionConfig
from seq2seq_lightning.models.attention.attention import no_weights
from seq2seq_lightning.models.rules import at_least_one
from seq2seq_lightning.models.state import Carried, Memory


@dataclass
class LocationAttentionConfig(AdditiveAttentionConfig):
    """Compare through a hidden layer that also sees where the position before looked."""

    name: str = "location"
    filters: int = 10  # features of each place
    width: int = 11  # source positions that a filter sees, itself in the middle; odd

    def problems(self, query_size: int, key_size: int) -> list[str]:
        """A filter has a middle."""
        found = super().problems(query_size, key_size) + at_least_one("model.attention.filters", self.filters)
        if self.width < 1 or self.width % 2 == 0:
            found.append(
                f"`model.attention.width={self.width}` must be an odd number of source positions, as many on either "
                f"side of the place itself. Set `model.attention.width={max(1, self.width + 1)}`."
            )
        return found

    def carries(self) -> bool:
        """See ``AttentionConfig.carries``: the previous weights."""
        return True


class LocationAttention(AdditiveAttention):
    """Additive, with features of the previous weights; before the first position nothing was looked at (zeros).

    Weights are exactly zero at padding, and so is what stands beyond the ends: padding tells a filter nothing.
    """

    def __init__(self, config: LocationAttentionConfig, query_size: int, key_size: int) -> None:
        super().__init__(config, query_size, key_size)
        self.filters = nn.Conv1d(1, config.filters, config.width, padding=config.width // 2, bias=False)
        self.location_map = nn.Linear(config.filters, self.size, bias=False)

    def start(self, memory: Memory) -> Carried:
        """See ``Attention.start``."""
        return {"weights": no_weights(memory)}

    def carry(self, weights: Tensor, carried: Carried | None) -> Carried:
        """See ``Attention.carry``."""
        return {"weights": weights}

    def history(self, carried: Carried | None, dtype: torch.dtype) -> Tensor:
        """See ``AdditiveAttention.history``."""
        assert carried is not None
        before = carried["weights"].to(dtype)
        features = self.filters(before.flatten(0, 1).unsqueeze(1))  # (sentences · queries, filters, source_time)
        return self.location_map(features.transpose(1, 2)).unflatten(0, before.shape[:2])

    def pair_products(self, state_size: int) -> int:
        """See ``Attention.pair_products``."""
        maps = self.filters.weight.numel() + self.location_map.weight.numel()
        return super().pair_products(state_size) + maps
