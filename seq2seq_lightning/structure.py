"""Plain values ↔ typed dataclasses: the one road by which a configuration becomes objects, wherever it comes from.

A dataclass with a ``name`` field belongs to a family (``LSTMConfig`` to ``CellConfig``); the name in the plain values
chooses the member. Unknown keys, wrong types and unknown names are problems with a path; all of them are collected.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from seq2seq_lightning.errors import ConfigurationError, nearest

Families = Mapping[type, Iterable[type]]
T = TypeVar("T")


def to_plain(value: Any) -> Any:
    """Dataclasses to dicts, enums to their names; anything else must already be plain."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def differences(value: Any) -> dict[str, Any]:
    """The plain values of a dataclass that are not its defaults, with every ``name``: what identifies a setting.

    An option added later, whose default is what was done before, leaves these as they were.
    """
    found = {}
    for field in dataclasses.fields(value):
        own = getattr(value, field.name)
        if dataclasses.is_dataclass(own):
            plain: Any = differences(own)
            if not plain:
                continue
        elif field.name != "name" and own == _default(field):
            continue
        else:
            plain = to_plain(own)
        found[field.name] = plain
    return found


def _default(field: dataclasses.Field) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def from_plain(cls: type[T], plain: Mapping[str, Any], families: Families) -> T:
    """Build ``cls`` from plain values.

    families: base class → its members, each with a ``name`` field whose default is the name it goes by.
    Raises ConfigurationError with one line per problem found.
    """
    problems: list[str] = []
    built = _Reader(families, problems).dataclass(cls, plain, "")
    if problems:
        raise ConfigurationError("\n".join(problems))
    return built


def member_name(cls: type) -> str:
    """The name a family member goes by: the default of its ``name`` field."""
    return str(next(field.default for field in dataclasses.fields(cls) if field.name == "name"))


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


@cache
def _required(cls: type) -> set[str]:
    """The fields without a default."""
    missing = dataclasses.MISSING
    return {
        each.name for each in dataclasses.fields(cls) if each.default is missing and each.default_factory is missing
    }


class _Reader:
    def __init__(self, families: Families, problems: list[str]) -> None:
        self.families = families
        self.problems = problems

    def dataclass(self, cls: type, plain: Any, path: str) -> Any:
        if not isinstance(plain, Mapping):
            return self.problem(path, f"is {plain!r}, where keys and values are needed.")
        chosen = self.member(cls, plain, path)
        if chosen is None:
            return None
        hints = _hints(chosen)
        before = len(self.problems)
        values = {}
        for key, value in plain.items():
            where = f"{path}.{key}" if path else str(key)
            if key in hints:
                values[key] = self.value(hints[key], value, where)
            else:
                self.problem(where, f"is no option of {path or 'the configuration'}. {nearest(str(key), hints)}")
        for key in sorted(_required(chosen) - plain.keys()):
            self.problem(f"{path}.{key}" if path else key, "is needed and not given.")
        if len(self.problems) > before:
            return None
        try:
            return chosen(**values)
        except ConfigurationError as error:
            self.problems.append(str(error))
        return None

    def member(self, cls: type, plain: Mapping[str, Any], path: str) -> type | None:
        if cls not in self.families:
            return cls
        members = {member_name(member): member for member in self.families[cls]}
        name = plain.get("name")
        if name not in members:
            self.problem(f"{path}.name", f"is {name!r}. {nearest(str(name), members)}")
            return None
        return members[name]

    def value(self, hint: Any, value: Any, path: str) -> Any:
        origin, arguments = get_origin(hint), get_args(hint)
        if origin in (Union, types.UnionType):
            if value is None and type(None) in arguments:
                return None
            kinds = [argument for argument in arguments if argument is not type(None)]
            return self.value(kinds[0], value, path) if len(kinds) == 1 else self.one_of(kinds, value, path)
        if origin is list:
            if not isinstance(value, list | tuple):
                return self.problem(path, f"is {value!r}, where a list is needed.")
            return [self.value(arguments[0], item, f"{path}[{index}]") for index, item in enumerate(value)]
        if origin is dict:
            if not isinstance(value, Mapping):
                return self.problem(path, f"is {value!r}, where keys and values are needed.")
            return {str(key): self.value(arguments[1], item, f"{path}.{key}") for key, item in value.items()}
        if dataclasses.is_dataclass(hint):
            return self.dataclass(hint, value, path)  # type: ignore[arg-type]
        return self.leaf(hint, value, path)

    def one_of(self, kinds: list[Any], value: Any, path: str) -> Any:
        if type(value) in kinds:
            return value
        names = " or ".join(kind.__name__ for kind in kinds)
        return self.problem(path, f"is {value!r}, where {names} is needed.")

    def leaf(self, hint: Any, value: Any, path: str) -> Any:
        if hint is Any:
            return value
        if isinstance(hint, type) and issubclass(hint, Enum):
            name = value.name if isinstance(value, Enum) else value
            if name in hint.__members__:
                return hint[name]
            return self.problem(path, f"is {value!r}. {nearest(str(name), hint.__members__)}")
        if hint is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, float) and not math.isfinite(value):  # records and fingerprints have no spelling for it
            return self.problem(path, f"is {value}, where a finite number is needed.")
        if type(value) is hint:
            return value
        return self.problem(path, f"is {value!r}, where a value of type {hint.__name__} is needed.")

    def problem(self, path: str, text: str) -> None:
        self.problems.append(f"{path} {text}")
