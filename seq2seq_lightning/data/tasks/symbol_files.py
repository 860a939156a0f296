"""Vocabularies that are settled before anything is read: the symbols that the texts of one side may have."""

from __future__ import annotations

from dataclasses import dataclass

from seq2seq_lightning.data.tasks.reading import BadLine, raw_lines, text_of
from seq2seq_lightning.errors import DataError


@dataclass(frozen=True)
class SymbolFile:
    """The symbols of one side; in_words: words between blanks, else characters other than blanks."""

    path: str
    key: str
    in_words: bool
    symbols: frozenset[str]

    @staticmethod
    def read(path: str, key: str, in_words: bool) -> SymbolFile:
        """One symbol per line. Raises DataError for a line with none or several, and for an empty file."""
        symbols = set()
        for number, raw in enumerate(raw_lines(path, key), start=1):
            where = f"{path}:{number}"
            symbol = text_of(raw, where).strip()
            if len(symbol.split()) != 1 or (not in_words and len(symbol) > 1):
                kind = "word" if in_words else "character"
                raise DataError(f"{where}: {symbol!r} is not one {kind}. Give `{key}` a file with one on each line.")
            symbols.add(symbol)
        if not symbols:
            raise DataError(f"`{key}={path}`: the file has no symbols. Write one on each line, or leave the key out.")
        return SymbolFile(path, key, in_words, frozenset(symbols))

    def check(self, text: str, where: str, side: str) -> None:
        """Raises BadLine for a text with any other symbol."""
        words = text.split()
        for symbol in words if self.in_words else "".join(words):
            if symbol not in self.symbols:
                raise BadLine(
                    "outside_vocabulary",
                    f"{where}: the {side} has {symbol!r}, which is none of the {len(self.symbols)} symbols of "
                    f"`{self.key}={self.path}`. Mend the line, or add the symbol to the file.",
                )
