"""Selective copying: a few symbols scattered among blanks, to be written in their order (Gu and Dao 2023, §3.1).

After arXiv 2312.00752, there with other sizes; copying with such a gap goes back to Hochreiter and Schmidhuber (1997).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.data.tasks.generated import GeneratedConfig, GeneratedTask
from seq2seq_lightning.errors import ConfigurationError

BLANK = "_"


@dataclass
class SelectiveCopyingConfig(GeneratedConfig):
    """Write the symbols and leave out the blanks; the length of a pair is that of its source, blanks counted."""

    name: str = "selective_copying"
    train_min_length: int = 16
    train_max_length: int = 32
    evaluation_min_length: int = 16
    evaluation_max_length: int = 32
    held_out: dict[str, list[int]] = field(default_factory=lambda: {"longer": [33, 64]})
    # different symbols, the numbers 0 … symbols - 1
    symbols: int = 16
    # how many stand in each source
    remembered: int = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least("symbols", 1)
        self._at_least("remembered", 1)
        lows = [self.train_min_length, self.evaluation_min_length, *(low for low, _ in self.held_out.values())]
        if min(lows) < self.remembered:
            raise ConfigurationError(
                f"`data.remembered={self.remembered}` symbols have no place in a source of {min(lows)}. Set the "
                f"shortest lengths to {self.remembered} or more, or `data.remembered={min(lows)}` or less."
            )


class SelectiveCopyingTask(GeneratedTask):
    """`_ 3 _ _ 1 _` becomes `3 1`."""

    config: SelectiveCopyingConfig
    STREAM = "selective_copying"

    def columns(self, longest: int) -> int:
        """One for each symbol, and one for each position, the smallest of which get the symbols."""
        return self.config.remembered + longest

    def pairs(self, lengths: list[int], draws: Tensor) -> Iterator[Pair]:
        """The symbols at random places."""
        count = self.config.remembered
        symbols = (draws[:, :count] * self.config.symbols).long().tolist()
        beyond = torch.arange(draws.shape[1] - count) >= torch.tensor(lengths)[:, None]
        order = draws[:, count:].masked_fill(beyond, 2.0).argsort(stable=True)
        places = order[:, :count].sort().values.tolist()
        for length, row, positions in zip(lengths, symbols, places, strict=True):
            source = [BLANK] * length
            for position, symbol in zip(positions, row, strict=True):
                source[position] = str(symbol)
            yield Pair.of(" ".join(source), " ".join(map(str, row)))
