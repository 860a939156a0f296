"""What `seq2seq-translate` reads: a source per line, or a JSON object per line with what is asked of its output."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from seq2seq_lightning.command_config import InputFormat
from seq2seq_lightning.errors import DataError, nearest
from seq2seq_lightning.training.asked import NOTHING_ASKED, Asked

KEYS = ("source", "prefix", "required", "allowed")


@dataclass(frozen=True)
class Line:
    """One line of input."""

    source: str
    asked: Asked = NOTHING_ASKED


def read_lines(file: Iterable[bytes], name: str, kind: InputFormat) -> Iterator[Line]:
    """The lines of a file or stream; name: what errors call it."""
    for number, line in enumerate(file, start=1):
        try:
            text = line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise DataError(f"{name}:{number} is not UTF-8 ({error.reason} at byte {error.start}).") from error
        yield Line(text) if kind is InputFormat.text else _parsed(text, f"{name}:{number}")


def _parsed(text: str, where: str) -> Line:
    """An empty line is an empty source."""
    if not text.strip():
        return Line("")
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{where} is not JSON ({error.msg} at column {error.colno}).") from error
    if not isinstance(row, dict) or "source" not in row:
        raise DataError(f'{where} is no object with a source. Write {{"source": "…"}}, with what is asked beside it.')
    for key in row:
        if key not in KEYS:
            raise DataError(f"{where} has the key {key!r}. {nearest(key, KEYS)}")
    allowed = row.get("allowed")
    asked = Asked(
        prefix=_text(row.get("prefix", ""), f"{where}: prefix"),
        required=_texts(row.get("required", []), f"{where}: required"),
        allowed=None if allowed is None else _texts(allowed, f"{where}: allowed"),
    )
    return Line(_text(row["source"], f"{where}: source"), asked)


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{where} is {value!r}, where a text is needed.")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise DataError(f"{where} is {value!r}, where a list of texts is needed.")
    return tuple(_text(each, where) for each in value)
