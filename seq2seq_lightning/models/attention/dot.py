"""Dot-product attention: score = q · h (Luong et al. 2015, eq. 8, `dot`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq_lightning.models.attention.attention import Attention, AttentionConfig
from seq2seq_lightning.models.state import Carried


@dataclass
class DotAttentionConfig(AttentionConfig):
    """Compare the query with the encoder states themselves."""

    name: str = "dot"

    def problems(self, query_size: int, key_size: int) -> list[str]:
        """A product needs equal sizes."""
        if query_size == key_size:
            return []
        return [
            f"`model/attention={self.name}` needs equal sizes, but encoder states have {key_size} and the decoder asks "
            f"with {query_size}. Set `model.decoder.hidden_size={key_size}` or choose `model/attention=general`."
        ]


class DotAttention(Attention):
    """q · h, without parameters."""

    def scores(self, asked: Tensor, keys: Tensor, carried: Carried | None = None) -> Tensor:
        """See ``Attention.scores``."""
        return torch.bmm(asked, keys.transpose(1, 2))
