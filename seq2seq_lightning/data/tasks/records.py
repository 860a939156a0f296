"""Texts within records of names and values, as JSON lines and data sets of the hub hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.data.tasks.files import Sieve
from seq2seq_lightning.data.tasks.reading import BadLine
from seq2seq_lightning.errors import ConfigurationError, nearest

_SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True)
class Fields:
    """Where a record has its source, its target and, where nothing is learnt, further references.

    A name such as ``translation.de`` or ``answers.0`` leads into nested records and lists, unless the record has a
    key of that very spelling. Targets and references may be lists of texts; of several targets the first is learnt
    from, and all are references. source_key, …: what the configuration calls the three, for messages.
    """

    source: str
    target: str
    references: tuple[str, ...]
    source_key: str
    target_key: str
    references_key: str

    def __post_init__(self) -> None:
        names = [self.source, self.target, *self.references]
        if not all(names) or len(set(names)) < len(names):
            raise ConfigurationError(
                f"`{self.source_key}={self.source}`, `{self.target_key}={self.target}` and "
                f"`{self.references_key}={list(self.references)}` are empty or name a value twice. Give each its own."
            )

    def pair(self, record: Mapping[str, Any], sieve: Sieve, where: str, with_references: bool) -> Pair:
        """The pair in a record; BadLine for what is missing, of another type, empty or too long."""
        source = self._text(_value(record, self.source, self.source_key, where), self.source, where)
        source = sieve.checked(source, where, "source")
        targets = self._texts(_value(record, self.target, self.target_key, where), self.target, where)
        if not targets:
            raise BadLine("empty", f"{where}: {self.target!r} is an empty list. Remove the record or write a target.")
        targets = [sieve.checked(text, where, "target") for text in targets]
        if not with_references:
            return Pair.of(source, targets[0])
        further = (
            text
            for name in self.references
            for text in self._texts(_value(record, name, self.references_key, where), name, where)
        )
        references = [sieve.checked(text, where, "reference") for text in further if text.strip()]
        return Pair(source, targets[0], (*targets, *references))

    def _texts(self, value: Any, name: str, where: str) -> list[str]:
        """One text or several, in lists of any depth."""
        if isinstance(value, Sequence) and not isinstance(value, str | bytes):
            return [text for item in value for text in self._texts(item, name, where)]
        return [self._text(value, name, where)]

    def _text(self, value: Any, name: str, where: str) -> str:
        if isinstance(value, str):
            return _checked(value, name, where)
        raise BadLine(
            "wrong_type",
            f"{where}: {name!r} is {_shown(value)}, where text is needed. Write it in quotes, or read another key.",
        )


class _End(Enum):
    """What there is where there is nothing; None is a value."""

    nothing = "nothing"


def _value(record: Mapping[str, Any], name: str, key: str, where: str) -> Any:
    """What stands under a name, directly or along its dots."""
    if name in record:
        return record[name]
    value: Any = record
    for part in name.split("."):
        value = _inner(value, part)
        if value is _End.nothing:
            raise BadLine(
                "missing_key",
                f"{where}: the record has no {name!r}, which `{key}` asks for. {nearest(name, _names(record))}",
            )
    return value


def _inner(value: Any, part: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(part, _End.nothing)
    if isinstance(value, list | tuple) and part.isdecimal() and int(part) < len(value):
        return value[int(part)]
    return _End.nothing


def _names(record: Mapping[str, Any], above: str = "") -> list[str]:
    """Every name that leads to a value, nested ones with their dots."""
    found = []
    for key, value in record.items():
        found += _names(value, f"{above}{key}.") if isinstance(value, Mapping) else [f"{above}{key}"]
    return found


def _checked(text: str, name: str, where: str) -> str:
    """JSON can spell what no UTF-8 text can hold: a NUL, and half of a surrogate pair."""
    if "\0" in text:
        raise BadLine("nul", f"{where}: a NUL at character {text.index(chr(0)) + 1} of {name!r}. Is this text?")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadLine(
            "invalid_utf8",
            f"{where}: half of a surrogate pair, U+{ord(text[error.start]):04X}, at character {error.start + 1} of "
            f"{name!r}. Write the character itself, in UTF-8.",
        ) from error
    return text


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
