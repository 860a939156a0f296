"""Random sequences of numbers with an answer by rule: what `reverse`, `copy` and `sort` have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.data.tasks.generated import GeneratedConfig, GeneratedTask


@dataclass
class SymbolsConfig(GeneratedConfig):
    """Sequences of the numbers 0 … symbols - 1, their length uniform between two bounds.

    The defaults are those of Joey NMT's reverse task (scripts/generate_reverse_task.py): evaluation is longer than
    training by up to five symbols.
    """

    symbols: int = 50
    train_max_length: int = 25
    evaluation_max_length: int = 30

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least("symbols", 1)


class SymbolsTask(GeneratedTask):
    """Draws sources symbol by symbol. Evaluation may repeat a source of the training, as in Joey NMT's task."""

    config: SymbolsConfig
    STREAM = "symbols"
    APART = False

    is_lossless = False  # whether the answer tells the source

    @property
    def target_bits(self) -> float | None:
        """Of the length, uniform between its bounds, and of so many symbols, if the answer tells them all."""
        low, high = self.config.evaluation_min_length, self.config.evaluation_max_length
        bits = math.log2(high - low + 1) + (low + high) / 2 * math.log2(self.config.symbols)
        return bits if self.is_lossless else None

    @abstractmethod
    def answer(self, symbols: list[str]) -> list[str]:
        """The target of a source."""

    def columns(self, longest: int) -> int:
        """One for each symbol."""
        return longest

    def pairs(self, lengths: list[int], draws: Tensor) -> Iterator[Pair]:
        """The first symbols of each row, and their answer."""
        rows = (draws * self.config.symbols).long().tolist()
        for row, length in zip(rows, lengths, strict=True):
            symbols = [str(number) for number in row[:length]]
            yield Pair.of(" ".join(symbols), " ".join(self.answer(symbols)))
