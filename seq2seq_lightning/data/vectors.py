"""Word vectors from a text file as word2vec and GloVe write them: a word and its numbers on each line.

The first line may tell how many there are and of what size, as word2vec's does. Only the lines of wanted words are
turned into numbers; of the others the fields are counted, so that a damaged file is noticed wherever it is damaged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, islice

from seq2seq_lightning.data.tasks.reading import content_hash, raw_lines, text_of
from seq2seq_lightning.errors import DataError

_SHOWN = 3  # words of a file told in a message


@dataclass(frozen=True)
class Vectors:
    """What a file has for some words."""

    values: Mapping[str, list[float]]
    lines: int  # vectors in the file
    wanted: int

    @property
    def share(self) -> float:
        """Of the wanted words, how many have a vector."""
        return len(self.values) / self.wanted


def read_vectors(path: str, key: str, words: Iterable[str], size: int) -> Vectors:
    """The vectors of these words; of a word that stands there twice the first.

    key: the configuration key that names the file. Raises DataError with file and line for vectors of another size
    and for what is no number, and where the file knows none of the words.
    """
    wanted = {word.encode(): word for word in words}
    lines = _Lines(path, key, size)
    values: dict[str, list[float]] = {}
    shown: list[str] = []
    for number, raw in lines.vectors():
        word = raw.partition(b" ")[0]
        if len(shown) < _SHOWN:
            shown.append(repr(word.decode(errors="replace")))
        name = wanted.get(word)
        if name is None or name in values:
            lines.check(number, raw)
        else:
            values[name] = lines.numbers(number, raw)
    if not values:
        ours = ", ".join(repr(word) for word in islice(wanted.values(), _SHOWN))
        raise DataError(
            f"`{key}={path}`: the file has none of the {len(wanted):,} words of the vocabulary. It begins with "
            f"{', '.join(shown) or 'nothing'}; the vocabulary with {ours or 'nothing'}. Give vectors of this language "
            f"and this tokenisation, or set `{key}=null`."
        )
    return Vectors(values, lines.count, len(wanted))


class _Lines:
    """The lines of one file, and what may be wrong with them."""

    def __init__(self, path: str, key: str, size: int) -> None:
        self.path, self.key, self.size, self.count = path, key, size, 0

    def vectors(self) -> Iterable[tuple[int, bytes]]:
        """Each vector's line number and line, without a header and without spaces at the end."""
        lines = enumerate((raw.rstrip(b" ") for raw in raw_lines(self.path, self.key)), 1)
        first = next(lines, None)
        if first is None:
            raise DataError(f"`{self.key}={self.path}`: the file is empty. Give a file of word vectors.")
        header = first[1].split(b" ")
        if len(header) == 2 and all(field.isdigit() for field in header):
            self._check_size(1, int(header[1]))
            start: Iterable[tuple[int, bytes]] = ()
        else:
            self._check_size(1, first[1].count(b" "))
            start = (first,)
        for self.count, line in enumerate(chain(start, lines), 1):
            yield line

    def check(self, number: int, raw: bytes) -> None:
        """The line has as many numbers as all; a word with spaces in it is let pass."""
        spaces = raw.count(b" ")
        if spaces < self.size or (spaces > self.size and _is_number(raw.rsplit(b" ", self.size + 1)[1])):
            self._check_size(number, spaces)

    def numbers(self, number: int, raw: bytes) -> list[float]:
        """The numbers of a line."""
        fields = raw.split(b" ")[1:]
        self._check_size(number, len(fields))
        for field in fields:
            if not _is_number(field):
                shown = text_of(field, f"{self.path}:{number}")
                raise DataError(
                    f"{self.path}:{number}: {shown!r} is no number, in the vector of "
                    f"{text_of(raw.partition(b' ')[0], f'{self.path}:{number}')!r}. Mend or remove the line of "
                    f"`{self.key}`."
                )
        return [float(field) for field in fields]

    def _check_size(self, number: int, seen: int) -> None:
        if seen == self.size:
            return
        side = self.key.rsplit(".", 2)[0]
        raise DataError(
            f"{self.path}:{number}: a vector of {seen} numbers, but `{side}.embedding_size={self.size}`. Set "
            f"`{side}.embedding_size={seen}`, or give another file as `{self.key}`; if other lines differ from this "
            f"one, the file is damaged."
        )


def _is_number(field: bytes) -> bool:
    try:
        return math.isfinite(float(field))
    except ValueError:
        return False


def vectors_hash(path: str, key: str) -> str:
    """Names a file of vectors by its content, wherever it lies: what a fingerprint holds of it."""
    return content_hash(path, key)[:16]
