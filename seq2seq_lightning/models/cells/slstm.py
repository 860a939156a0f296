"""The sLSTM of xLSTM (Beck et al. 2024, arXiv 2405.04517, §2.2): exponential gating beside a normaliser.

i, f, z, o from W x + b + R h; i = exp(ĩ), f = σ(f̃), c = f∘c₋ + i∘tanh(z̃), n = f∘n₋ + i, h = σ(õ)∘c/n. What is kept is
c e^−m and n e^−m with m = max(log f + m₋, ĩ), which leaves h as it is and no exponential above one.
R may be block-diagonal: with several heads, each reads its own part of h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from seq2seq_lightning.models.cells.cell import CellConfig, keep_units
from seq2seq_lightning.models.cells.weighted import WeightedRecurrentCell, wide
from seq2seq_lightning.models.dropout import Noise
from seq2seq_lightning.models.rules import at_least_one
from seq2seq_lightning.models.state import CellState


@dataclass
class HeadedCellConfig(CellConfig):
    """A cell of several heads."""

    heads: int = 1  # parts of the hidden size that read nothing of each other's state

    def problems(self, key: str, hidden_size: int) -> list[str]:
        """The heads share the hidden size equally."""
        if self.heads < 1:
            return at_least_one(f"{key}.cell.heads", self.heads)
        if hidden_size % self.heads == 0:
            return []
        return [
            f"`heads={self.heads}` of the cell `{self.name}` must divide `{key}.hidden_size={hidden_size}`. Set "
            f"`{key}.hidden_size={hidden_size - hidden_size % self.heads or self.heads}` or `{key}.cell.heads=1`."
        ]


@dataclass
class SLSTMConfig(HeadedCellConfig):
    """The sLSTM of xLSTM."""

    name: str = "slstm"


class SLSTM(WeightedRecurrentCell):
    """One layer of sLSTM; gates in the order input, forget, candidate, output. A bridge fills ``hidden``."""

    zoned: ClassVar[tuple[str, ...]] = ("hidden", "cell")
    gates: ClassVar[int] = 4
    forget_gate: ClassVar[int | None] = 1

    def __init__(self, config: SLSTMConfig, input_size: int, hidden_size: int) -> None:
        super().__init__(config, input_size, hidden_size)
        self.heads = config.heads
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size // config.heads))
        self.reset_parameters()

    def initial_state(self, batch: int, like: Tensor) -> CellState:
        """See ``Cell.initial_state``. Nothing has been read: m is so low that it never counts."""
        zeros = wide(like).new_zeros(batch, self.hidden_size)
        return {"hidden": zeros, "cell": zeros, "normaliser": zeros, "stabiliser": lowest(zeros)}

    def recurrent_map(self, noise: Noise | None = None) -> tuple[Tensor, Tensor | None]:
        """See ``RecurrentCell.recurrent_map``."""
        weight, _ = super().recurrent_map(noise)
        if self.heads == 1:
            return weight, None
        blocks = weight.view(4, self.heads, -1, weight.shape[1])
        return torch.cat([torch.block_diag(*gate) for gate in blocks]), None

    def gate(self, given: Tensor, carried: Tensor, state: CellState) -> CellState:
        """See ``RecurrentCell.gate``. m is any number as far as h is concerned, so no gradient goes through it."""
        entering, forget, candidate, leaving = wide(given + carried).chunk(4, 1)
        remaining = logsigmoid(forget) + state["stabiliser"]
        stabiliser = torch.maximum(remaining, entering).detach()
        enter, remain = torch.exp(entering - stabiliser), torch.exp(remaining - stabiliser)
        cell = remain * state["cell"] + enter * torch.tanh(candidate)
        normaliser = remain * state["normaliser"] + enter
        hidden = torch.sigmoid(leaving) * cell / normaliser
        return {"hidden": hidden, "cell": cell, "normaliser": normaliser, "stabiliser": stabiliser}

    def mix(self, old: CellState, new: CellState, keep: Mapping[str, Tensor | float]) -> CellState:
        """See ``Cell.mix``. c, n and m of a unit stay together; a share of two is that of c eᵐ and n eᵐ."""
        hidden, share = keep_units(old["hidden"], new["hidden"], keep["hidden"]), keep["cell"]
        if isinstance(share, Tensor):
            rest = {name: torch.where(share, old[name], new[name]) for name in ("cell", "normaliser", "stabiliser")}
            return {"hidden": hidden, **rest}
        stabiliser = torch.maximum(old["stabiliser"], new["stabiliser"]).detach()
        before = share * torch.exp(old["stabiliser"] - stabiliser)
        after = (1 - share) * torch.exp(new["stabiliser"] - stabiliser)
        rest = {name: before * old[name] + after * new[name] for name in ("cell", "normaliser")}
        return {"hidden": hidden, **rest, "stabiliser": stabiliser}

    def blocks(self, name: str) -> int:
        """See ``Cell.blocks``."""
        return 4 * self.heads if name == "weight_hh" else super().blocks(name)


def lowest(like: Tensor) -> Tensor:
    """A stabiliser that no other falls below, finite so that differences stay numbers."""
    return torch.full_like(like, torch.finfo(like.dtype).min / 4)
