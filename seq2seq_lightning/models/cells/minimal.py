"""What minGRU and minLSTM share: gates that see the input alone, so that a sequence is one scan."""

from __future__ import annotations

import torch
from torch import Tensor

from seq2seq_lightning.models.cells.cell import last_real
from seq2seq_lightning.models.cells.scan import positive, scan
from seq2seq_lightning.models.cells.weighted import WeightedCell, wide
from seq2seq_lightning.models.state import CellState


class ScannedCell(WeightedCell):
    """A cell h = (1 − σ(u))∘h₋ + σ(u)∘g(v), where u and v come from the input alone.

    g keeps the candidates positive. A state that a bridge has filled may have any sign: it decays beside them.
    """

    def renewal(self, given: Tensor) -> tuple[Tensor, Tensor]:
        """u and v, (…, hidden_size) each. given: (…, gates · hidden_size), W x + b."""
        raise NotImplementedError

    def move(self, given: Tensor, state: CellState) -> CellState:
        """See ``MappedCell.move``."""
        renewal, candidate = self.renewal(wide(given))
        return {"hidden": torch.lerp(wide(state["hidden"]), positive(candidate), torch.sigmoid(renewal))}

    def unroll(self, inputs: Tensor, state: CellState, lengths: Tensor | None = None) -> tuple[Tensor, CellState]:
        """See ``Cell.unroll``. A row's state is taken at its last position, so padding behind it does not matter."""
        renewal, candidate = self.renewal(wide(self.given(inputs)))
        states = scan(renewal, candidate, wide(state["hidden"]))
        return states, {"hidden": last_real(states, lengths)}
