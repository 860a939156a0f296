"""The minimal gated recurrent unit (Feng et al. 2024, arXiv 2410.01201, §3.1; g as in its log-space form, appendix B).

z = σ(W_z x + b_z), h̃ = g(W_h x + b_h), h = (1 − z)∘h₋ + z∘h̃, with g(v) = v + 0.5 for v ≥ 0 and σ(v) below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from seq2seq_lightning.models.cells.cell import CellConfig
from seq2seq_lightning.models.cells.minimal import ScannedCell


@dataclass
class MinGRUConfig(CellConfig):
    """The minimal gated recurrent unit."""

    name: str = "mingru"


class MinGRU(ScannedCell):
    """One layer of minimal gated recurrent units; gates in the order update, new."""

    gates: ClassVar[int] = 2

    def renewal(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """See ``ScannedCell.renewal``."""
        update, new = given.chunk(2, -1)
        return update, new
