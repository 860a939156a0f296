"""The copy task: a sequence of numbers, to be written again."""

from __future__ import annotations

from dataclasses import dataclass

from seq2seq_lightning.data.tasks.symbols import SymbolsConfig, SymbolsTask


@dataclass
class CopyConfig(SymbolsConfig):
    """Write the numbers again; the sources are those of `reverse` with equal fields."""

    name: str = "copy"


class CopyTask(SymbolsTask):
    """`3 1 4` stays `3 1 4`."""

    is_lossless = True

    def answer(self, symbols: list[str]) -> list[str]:
        """The symbols themselves."""
        return symbols
