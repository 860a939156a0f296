"""A recurrent cell: leaky integration (Jaeger et al. 2007, Neural Networks 20).

h = (1 − a)·h + a·tanh(W x + b + U h), in which a, the leak, is the same for all units. With a = 1 it is the plain RNN.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.models.cells.cell import CellConfig
from seq2seq_lightning.models.cells.weighted import WeightedRecurrentCell
from seq2seq_lightning.models.state import CellState


@dataclass
class LeakyConfig(CellConfig):
    """The leaky integrator."""

    name: str = "leaky"  # model/cell=leaky
    leak: float = 0.5  # how much of the state is renewed at each position, above 0 and up to 1

    def __post_init__(self) -> None:
        """Refuse a state that never moves, or moves too far."""
        if isinstance(self.leak, float) and not 0 < self.leak <= 1:
            raise ConfigurationError(f"`leak` of the cell is {self.leak}; it must be above 0, and 1 at most.")


class Leaky(WeightedRecurrentCell):
    """One layer of leaky units. The parent has W, b and U, unrolls, and knows dropout and zoneout."""

    def __init__(self, config: LeakyConfig, input_size: int, hidden_size: int) -> None:
        super().__init__(config, input_size, hidden_size)
        self.leak = config.leak

    def gate(self, given: Tensor, carried: Tensor, state: CellState) -> CellState:
        """One position. given: W x + b, carried: U h; (rows, hidden_size) each."""
        hidden = state["hidden"]
        return {"hidden": hidden + self.leak * (torch.tanh(given + carried) - hidden)}


CELLS = {LeakyConfig: Leaky}
