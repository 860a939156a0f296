"""What the cells of our own keep: W and b, and with recurrence U, drawn as torch draws those of its own cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.cells.cell import CellConfig, Kind
from seq2seq_lightning.models.cells.mapped import MappedCell, RecurrentCell
from seq2seq_lightning.models.dropout import Noise, drop


class WeightedCell(MappedCell):
    """A cell with W (maps · hidden_size, input_size) and one bias vector (biased · hidden_size).

    maps, biased: how many matrices and vectors these are, by default as many as there are gates.
    """

    def __init__(
        self,
        config: CellConfig,
        input_size: int,
        hidden_size: int,
        maps: int | None = None,
        biased: int | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = input_size, hidden_size
        self.maps, self.biased = maps or self.gates, biased or self.gates
        self.weight_ih = nn.Parameter(torch.empty(self.maps * hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(self.biased * hidden_size)) if config.bias else None
        self.reset_parameters()

    def blocks(self, name: str) -> int:
        """See ``Cell.blocks``."""
        return {"weight_ih": self.maps, "bias": self.biased}.get(name, self.gates)

    def reset_parameters(self) -> None:
        """Uniform within ± 1 / √hidden_size, as torch does; norms inside the cell see to themselves."""
        bound = self.hidden_size**-0.5
        for values in self.parameters(recurse=False):
            nn.init.uniform_(values, -bound, bound)

    def input_map(self) -> tuple[Tensor, Tensor | None]:
        """See ``MappedCell.input_map``."""
        return self.weight_ih, self.bias

    def parameter_kinds(self) -> dict[str, Kind]:
        """See ``Cell.parameter_kinds``."""
        return {"weight_ih": Kind.input} | ({} if self.bias is None else {"bias": Kind.bias})


class WeightedRecurrentCell(WeightedCell, RecurrentCell):
    """A cell with U (gates · hidden_size, hidden_size) besides, and no bias of its own there."""

    def __init__(self, config: CellConfig, input_size: int, hidden_size: int) -> None:
        super().__init__(config, input_size, hidden_size)
        self.weight_hh = nn.Parameter(torch.empty(self.gates * hidden_size, hidden_size))
        self.reset_parameters()

    def recurrent_map(self, noise: Noise | None = None) -> tuple[Tensor, Tensor | None]:
        """See ``RecurrentCell.recurrent_map``."""
        return drop(self.weight_hh, None if noise is None else noise.weights.get("weight_hh")), None

    def parameter_kinds(self) -> dict[str, Kind]:
        """See ``Cell.parameter_kinds``."""
        return super().parameter_kinds() | {"weight_hh": Kind.recurrent}


def wide(values: Tensor) -> Tensor:
    """In float32 at least: exponentials and long sums of half precision are worth little."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
