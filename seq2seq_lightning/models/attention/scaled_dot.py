"""Scaled dot-product attention: score = q · h / √d (Vaswani et al. 2017, eq. 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from seq2seq_lightning.models.attention.dot import DotAttention, DotAttentionConfig
from seq2seq_lightning.models.state import Carried


@dataclass
class ScaledDotAttentionConfig(DotAttentionConfig):
    """Compare the query with the encoder states themselves, the wider the more gently."""

    name: str = "scaled_dot"


class ScaledDotAttention(DotAttention):
    """q · h / √d, without parameters; d is the size of both."""

    def scores(self, asked: Tensor, keys: Tensor, carried: Carried | None = None) -> Tensor:
        """See ``Attention.scores``."""
        return super().scores(asked / math.sqrt(asked.shape[2]), keys)
