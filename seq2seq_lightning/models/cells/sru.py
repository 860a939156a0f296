"""The simple recurrent unit (Lei et al. 2018, arXiv 1709.02755, eq. 1 to 4).

f = σ(W_f x + v_f∘c₋ + b_f), c = f∘c₋ + (1 − f)∘(W x), r = σ(W_r x + v_r∘c₋ + b_r), h = r∘c + (1 − r)∘x,
where x stands for W_x x if input and cell differ in size. No matrix reads the state: all products are had at once, and
what runs from position to position is elementwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.cells.cell import CellConfig, Kind, last_real
from seq2seq_lightning.models.cells.weighted import WeightedCell, wide
from seq2seq_lightning.models.state import CellState


@dataclass
class SRUConfig(CellConfig):
    """The simple recurrent unit."""

    name: str = "sru"


class SRU(WeightedCell):
    """One layer of simple recurrent units; W in the order candidate, forget, reset, and the map of x where it has one.

    A bridge fills ``cell``, the state that is read, and ``hidden`` starts as the same vector.
    """

    bridged: ClassVar[tuple[str, ...]] = ("cell",)
    zoned: ClassVar[tuple[str, ...]] = ("hidden", "cell")
    gates: ClassVar[int] = 2

    def __init__(self, config: CellConfig, input_size: int, hidden_size: int) -> None:
        super().__init__(config, input_size, hidden_size, maps=3 if input_size == hidden_size else 4, biased=2)
        self.weight_state = nn.Parameter(torch.empty(2 * hidden_size))  # v_f and v_r
        self.reset_parameters()

    def start(self, given: CellState) -> CellState:
        """See ``Cell.start``."""
        return {"hidden": given["cell"], "cell": given["cell"]}

    def input_map(self) -> tuple[Tensor, Tensor | None]:
        """See ``MappedCell.input_map``."""
        return self.weight_ih, None

    def prepare(self, product: Tensor, inputs: Tensor) -> Tensor:
        """See ``MappedCell.prepare``. Gives candidate, forget, reset and what the highway carries, (…, 4 · hidden)."""
        candidate, gates, carried = self._split(product)
        gates = gates if self.bias is None else gates + self.bias
        return wide(torch.cat((candidate, gates, carried if carried.shape[-1] else inputs), dim=-1))

    def move(self, given: Tensor, state: CellState) -> CellState:
        """See ``MappedCell.move``."""
        candidate, forget, reset, carried = given.chunk(4, -1)
        before, (by_forget, by_reset) = wide(state["cell"]), self.weight_state.chunk(2)
        cell = torch.lerp(candidate, before, torch.sigmoid(forget + by_forget * before))
        return {"hidden": torch.lerp(carried, cell, torch.sigmoid(reset + by_reset * before)), "cell": cell}

    def unroll(self, inputs: Tensor, state: CellState, lengths: Tensor | None = None) -> tuple[Tensor, CellState]:
        """See ``Cell.unroll``. Only the cells run from position to position; the reset gates follow at once."""
        candidate, forget, reset, carried = self.given(inputs).chunk(4, -1)
        by_forget, by_reset = self.weight_state.chunk(2)
        cells = [wide(state["cell"])]
        for new, gate in zip(candidate.unbind(1), forget.unbind(1), strict=True):
            cells.append(torch.lerp(new, cells[-1], torch.sigmoid(torch.addcmul(gate, by_forget, cells[-1]))))
        before, after = torch.stack(cells[:-1], 1), torch.stack(cells[1:], 1)
        outputs = torch.lerp(carried, after, torch.sigmoid(reset + by_reset * before))
        return outputs, {"hidden": last_real(outputs, lengths), "cell": last_real(after, lengths)}

    def parameter_kinds(self) -> dict[str, Kind]:
        """See ``Cell.parameter_kinds``."""
        return super().parameter_kinds() | {"weight_state": Kind.elementwise}

    def _split(self, product: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Candidate, both gates, and the map of x, empty where x is carried itself."""
        size = self.hidden_size
        return product[..., :size], product[..., size : 3 * size], product[..., 3 * size :]
