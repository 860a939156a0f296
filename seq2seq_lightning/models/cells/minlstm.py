"""The minimal LSTM (Feng et al. 2024, arXiv 2410.01201, §3.2; g as in its log-space form, appendix B).

f, i = σ(W x + b), h̃ = g(W_h x + b_h), h = f/(f + i)∘h₋ + i/(f + i)∘h̃, with g(v) = v + 0.5 for v ≥ 0 and σ(v) below.
As i/(f + i) = σ(log i − log f), the pair of gates renews like the one of minGRU. There is no cell beside h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import softplus

from seq2seq_lightning.models.cells.cell import CellConfig
from seq2seq_lightning.models.cells.minimal import ScannedCell


@dataclass
class MinLSTMConfig(CellConfig):
    """The minimal long short-term memory."""

    name: str = "minlstm"


class MinLSTM(ScannedCell):
    """One layer of minimal long short-term memory; gates in the order input, forget, candidate."""

    gates: ClassVar[int] = 3
    forget_gate: ClassVar[int | None] = 1

    def renewal(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """See ``ScannedCell.renewal``."""
        entering, forget, candidate = given.chunk(3, -1)
        return softplus(-forget) - softplus(-entering), candidate
