"""The reverse task of Joey NMT: a sequence of numbers, to be written backwards."""

from __future__ import annotations

from dataclasses import dataclass

from seq2seq_lightning.data.tasks.symbols import SymbolsConfig, SymbolsTask


@dataclass
class ReverseConfig(SymbolsConfig):
    """Write the numbers backwards."""

    name: str = "reverse"


class ReverseTask(SymbolsTask):
    """`3 1 4` becomes `4 1 3`."""

    is_lossless = True

    def answer(self, symbols: list[str]) -> list[str]:
        """The symbols backwards."""
        return symbols[::-1]
