"""The gated recurrent unit (Cho et al. 2014), in torch's form: the reset gate acts after the recurrent product.

r, z = σ(W x + b + U h + b'), n = tanh(W_n x + b_n + r∘(U_n h + b'_n)), h = (1 − z)∘n + z∘h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.cells.cell import CellConfig
from seq2seq_lightning.models.cells.fused import FusedCell
from seq2seq_lightning.models.state import CellState


@dataclass
class GRUConfig(CellConfig):
    """The gated recurrent unit."""

    name: str = "gru"


class GRU(FusedCell):
    """One layer of gated recurrent units; gates in the order reset, update, new."""

    gates: ClassVar[int] = 3

    def make_kernel(self, config: CellConfig) -> nn.RNNBase:
        """torch's ``nn.GRU``."""
        return nn.GRU(self.input_size, self.hidden_size, bias=config.bias, batch_first=True)

    def advance(
        self,
        inputs: Tensor,
        state: CellState,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor | None,
        bias_hh: Tensor | None,
    ) -> tuple[Tensor, CellState]:
        """See ``FusedCell.advance``."""
        hidden = torch.gru_cell(inputs, state["hidden"], weight_ih, weight_hh, bias_ih, bias_hh)
        return hidden, {"hidden": hidden}

    def gate(self, given: Tensor, carried: Tensor, state: CellState) -> CellState:
        """See ``RecurrentCell.gate``. What z keeps of the old state is never dropped, only what U reads."""
        size = self.hidden_size
        reset, update = torch.sigmoid(given[:, : 2 * size] + carried[:, : 2 * size]).chunk(2, 1)
        new = torch.tanh(given[:, 2 * size :] + reset * carried[:, 2 * size :])
        return {"hidden": new + update * (state["hidden"] - new)}
