"""A task: the symbols at odd places, then those at even places. `1 2 3 4 5` becomes `1 3 5 2 4`."""

from __future__ import annotations

from dataclasses import dataclass

from seq2seq_lightning.data.tasks.symbols import SymbolsConfig, SymbolsTask


@dataclass
class UnzipConfig(SymbolsConfig):
    """Sizes, lengths and the seed of the corpus are the parent's."""

    name: str = "unzip"  # data=unzip


class UnzipTask(SymbolsTask):
    """The parent draws the sources, and tells the fingerprint what decides them."""

    def answer(self, symbols: list[str]) -> list[str]:
        """The target of a source."""
        return symbols[::2] + symbols[1::2]


TASKS = {UnzipConfig: UnzipTask}
