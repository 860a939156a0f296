"""The LSTM with layer normalisation (Ba et al. 2016, arXiv 1607.06450, supplement).

i, f, c̃, o = LN(W x) + LN(U h) + b, each norm over all four together; c = σ(f)∘c + σ(i)∘tanh(c̃); h = σ(o)∘tanh(LN(c)).
The two norms of sums have a gain each; their shifts would add to b and are left to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.cells.cell import CellConfig, Kind
from seq2seq_lightning.models.cells.weighted import WeightedRecurrentCell
from seq2seq_lightning.models.state import CellState


@dataclass
class LNLSTMConfig(CellConfig):
    """The long short-term memory with layer normalisation."""

    name: str = "lnlstm"


class LNLSTM(WeightedRecurrentCell):
    """One layer of long short-term memory under layer norms; gates in the order input, forget, candidate, output."""

    bridged: ClassVar[tuple[str, ...]] = ("hidden", "cell")
    zoned: ClassVar[tuple[str, ...]] = ("hidden", "cell")
    gates: ClassVar[int] = 4
    forget_gate: ClassVar[int | None] = 1

    def __init__(self, config: CellConfig, input_size: int, hidden_size: int) -> None:
        super().__init__(config, input_size, hidden_size)
        self.norm_input = nn.LayerNorm(4 * hidden_size, bias=False)
        self.norm_hidden = nn.LayerNorm(4 * hidden_size, bias=False)
        self.norm_cell = nn.LayerNorm(hidden_size, bias=config.bias)

    def input_map(self) -> tuple[Tensor, Tensor | None]:
        """See ``MappedCell.input_map``."""
        return self.weight_ih, None

    def prepare(self, product: Tensor, inputs: Tensor) -> Tensor:
        """See ``MappedCell.prepare``."""
        normed = self.norm_input(product)
        return normed if self.bias is None else normed + self.bias

    def gate(self, given: Tensor, carried: Tensor, state: CellState) -> CellState:
        """See ``RecurrentCell.gate``."""
        entering, forget, candidate, leaving = (given + self.norm_hidden(carried)).chunk(4, 1)
        cell = torch.sigmoid(forget) * state["cell"] + torch.sigmoid(entering) * torch.tanh(candidate)
        return {"hidden": torch.sigmoid(leaving) * torch.tanh(self.norm_cell(cell)), "cell": cell}

    def parameter_kinds(self) -> dict[str, Kind]:
        """See ``Cell.parameter_kinds``."""
        names = (name for name, _ in self.named_parameters() if name.startswith("norm_"))
        return super().parameter_kinds() | dict.fromkeys(names, Kind.norm)
