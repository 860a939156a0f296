"""The gated recurrent unit with layer normalisation (Ba et al. 2016, arXiv 1607.06450, supplement).

r, z = σ(LN(W x) + LN(U h) + b), each norm over both gates together; n = tanh(LN(W_n x) + b_n + r∘LN(U_n h));
h = (1 − z)∘n + z∘h, in which z keeps, as in our GRU (in the paper it renews).
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
class LNGRUConfig(CellConfig):
    """The gated recurrent unit with layer normalisation."""

    name: str = "lngru"


class LNGRU(WeightedRecurrentCell):
    """One layer of gated recurrent units under layer norms; gates in the order reset, update, new."""

    gates: ClassVar[int] = 3

    def __init__(self, config: CellConfig, input_size: int, hidden_size: int) -> None:
        super().__init__(config, input_size, hidden_size)
        self.norm_input = nn.LayerNorm(2 * hidden_size, bias=False)
        self.norm_hidden = nn.LayerNorm(2 * hidden_size, bias=False)
        self.norm_new_input = nn.LayerNorm(hidden_size, bias=False)
        self.norm_new_hidden = nn.LayerNorm(hidden_size, bias=config.bias)  # inside r∘(…): b_n cannot stand for it

    def input_map(self) -> tuple[Tensor, Tensor | None]:
        """See ``MappedCell.input_map``."""
        return self.weight_ih, None

    def prepare(self, product: Tensor, inputs: Tensor) -> Tensor:
        """See ``MappedCell.prepare``."""
        gates, new = self._split(product)
        normed = torch.cat((self.norm_input(gates), self.norm_new_input(new)), dim=-1)
        return normed if self.bias is None else normed + self.bias

    def gate(self, given: Tensor, carried: Tensor, state: CellState) -> CellState:
        """See ``RecurrentCell.gate``."""
        (given_gates, given_new), (gates, new) = self._split(given), self._split(carried)
        reset, update = torch.sigmoid(given_gates + self.norm_hidden(gates)).chunk(2, 1)
        new = torch.tanh(given_new + reset * self.norm_new_hidden(new))
        return {"hidden": new + update * (state["hidden"] - new)}

    def _split(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Both gates, and what is new."""
        return values[..., : 2 * self.hidden_size], values[..., 2 * self.hidden_size :]

    def parameter_kinds(self) -> dict[str, Kind]:
        """See ``Cell.parameter_kinds``."""
        names = (name for name, _ in self.named_parameters() if name.startswith("norm_"))
        return super().parameter_kinds() | dict.fromkeys(names, Kind.norm)
