"""The fixed vector of ``context=every_step``: what of the encoder's states the decoder sees at every position."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.attention.attention import masked_softmax
from seq2seq_lightning.models.decoder_config import Summary
from seq2seq_lightning.models.encoder import Encoded


class Summariser(nn.Module):
    """Encoder states → one vector per sentence."""

    def __init__(self, summary: Summary, size: int) -> None:
        super().__init__()
        self.summary = summary
        self.query = nn.Linear(size, 1, bias=False) if summary is Summary.learned else None

    def forward(self, encoded: Encoded) -> Tensor:
        """(batch, size); padding reaches none of them."""
        match self.summary:
            case Summary.last:
                return encoded.final_state[-1]["hidden"]
            case Summary.top:
                return encoded.last
            case Summary.mean:
                return encoded.mean
            case Summary.max:
                return encoded.maximum
            case Summary.learned:
                return self._weighted(encoded)

    def _weighted(self, encoded: Encoded) -> Tensor:
        """Σᵢ aᵢ hᵢ with a = softmax(q · hᵢ), q a parameter: an attention whose question is always the same."""
        assert self.query is not None
        scores = self.query(encoded.states).transpose(1, 2)
        weights = masked_softmax(scores, ~encoded.mask.unsqueeze(1)).to(encoded.states.dtype)
        return torch.bmm(weights, encoded.states).squeeze(1)
