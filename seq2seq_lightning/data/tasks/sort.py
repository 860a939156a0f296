"""Sorting: a sequence of numbers, to be written from the smallest to the largest."""

from __future__ import annotations

from dataclasses import dataclass, field

from seq2seq_lightning.data.tasks.symbols import SymbolsConfig, SymbolsTask


@dataclass
class SortConfig(SymbolsConfig):
    """Write the numbers in order; a number that stands there twice is written twice."""

    name: str = "sort"
    train_max_length: int = 20
    evaluation_max_length: int = 20
    held_out: dict[str, list[int]] = field(default_factory=lambda: {"longer": [21, 40]})


class SortTask(SymbolsTask):
    """`3 10 4 3` becomes `3 3 4 10`."""

    config: SortConfig
    APART = True

    def answer(self, symbols: list[str]) -> list[str]:
        """The symbols in the order of their numbers."""
        return sorted(symbols, key=int)
