"""The long short-term memory (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000).

i, f, o = σ(W x + b + U h + b'), c̃ = tanh(·), c = f∘c + i∘c̃, h = o∘tanh(c).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.cells.cell import CellConfig
from seq2seq_lightning.models.cells.fused import FusedCell, KernelState
from seq2seq_lightning.models.state import CellState


@dataclass
class LSTMConfig(CellConfig):
    """The long short-term memory."""

    name: str = "lstm"


class LSTM(FusedCell):
    """One layer of long short-term memory; gates in the order input, forget, candidate, output."""

    bridged: ClassVar[tuple[str, ...]] = ("hidden", "cell")
    zoned: ClassVar[tuple[str, ...]] = ("hidden", "cell")
    gates: ClassVar[int] = 4
    forget_gate: ClassVar[int | None] = 1

    def make_kernel(self, config: CellConfig) -> nn.RNNBase:
        """torch's ``nn.LSTM``."""
        return nn.LSTM(self.input_size, self.hidden_size, bias=config.bias, batch_first=True)

    def to_kernel(self, state: CellState) -> KernelState:
        """Hidden state and cell, (1, batch, hidden_size) each."""
        return state["hidden"].unsqueeze(0), state["cell"].unsqueeze(0)

    def from_kernel(self, end: KernelState) -> CellState:
        """torch's pair as our named states."""
        return {"hidden": end[0].squeeze(0), "cell": end[1].squeeze(0)}

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
        hidden, cell = torch.lstm_cell(inputs, (state["hidden"], state["cell"]), weight_ih, weight_hh, bias_ih, bias_hh)
        return hidden, {"hidden": hidden, "cell": cell}

    def gate(self, given: Tensor, carried: Tensor, state: CellState) -> CellState:
        """See ``RecurrentCell.gate``."""
        entering, forget, candidate, leaving = (given + carried).chunk(4, 1)
        cell = torch.sigmoid(forget) * state["cell"] + torch.sigmoid(entering) * torch.tanh(candidate)
        return {"hidden": torch.sigmoid(leaving) * torch.tanh(cell), "cell": cell}
