"""The simple recurrent network (Elman 1990): h = act(W x + b + U h + b')."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.cells.cell import CellConfig
from seq2seq_lightning.models.cells.fused import FusedCell
from seq2seq_lightning.models.state import CellState


class Nonlinearity(Enum):
    """The activation of the simple recurrent network."""

    tanh = "tanh"
    relu = "relu"


@dataclass
class RNNConfig(CellConfig):
    """The simple recurrent network."""

    name: str = "rnn"
    nonlinearity: Nonlinearity = Nonlinearity.tanh  # tanh | relu


class RNN(FusedCell):
    """One layer of the simple recurrent network."""

    def __init__(self, config: RNNConfig, input_size: int, hidden_size: int) -> None:
        super().__init__(config, input_size, hidden_size)
        is_tanh = config.nonlinearity is Nonlinearity.tanh
        self.activate = torch.tanh if is_tanh else torch.relu
        self.kernel_step = torch.rnn_tanh_cell if is_tanh else torch.rnn_relu_cell

    def make_kernel(self, config: CellConfig) -> nn.RNNBase:
        """torch's ``nn.RNN``."""
        assert isinstance(config, RNNConfig)
        nonlinearity = config.nonlinearity.value
        return nn.RNN(self.input_size, self.hidden_size, nonlinearity=nonlinearity, bias=config.bias, batch_first=True)

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
        hidden = self.kernel_step(inputs, state["hidden"], weight_ih, weight_hh, bias_ih, bias_hh)
        return hidden, {"hidden": hidden}

    def gate(self, given: Tensor, carried: Tensor, state: CellState) -> CellState:
        """See ``RecurrentCell.gate``."""
        return {"hidden": self.activate(given + carried)}
