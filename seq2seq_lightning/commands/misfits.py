"""What OmegaConf says of a value that does not fit its option, in our words: the value seen and the values allowed."""

from __future__ import annotations

import dataclasses
import re
import traceback
from pathlib import Path
from typing import get_args, get_type_hints

from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import ConfigTypeError, ValidationError

from seq2seq_lightning.config_store import conf_dir
from seq2seq_lightning.errors import nearest

# the first line of OmegaConf's message → what is said of the value seen, or of its type, and of null
MISFITS = {
    r"Value '(.*)' of type '\w+' could not be converted to Integer": "is '{}', where a whole number{} is needed",
    r"Value '(.*)' of type '\w+' could not be converted to Float": "is '{}', where a number{} is needed",
    r"Value '(.*)' is not a valid bool": "is '{}', where true or false{} is needed",
    r"Cannot convert '(\w+)' to string": "is of type {}, where text{} is needed",
    r"Cannot assign (\w+) to Dict": "is of type {}, where keys and values{} are needed",
}


def misfit(error: BaseException) -> str | None:
    """The sentence for a value that cannot be that of its option; None if the error is another one."""
    cause = error if isinstance(error, ValidationError | ConfigTypeError) else cause_of(error)
    if not isinstance(cause, ValidationError | ConfigTypeError) or not cause.full_key:
        return None
    key, told = str(cause.full_key), str(cause).splitlines()[0]
    if found := re.match(r"Invalid value '(.*)', expected one of \[(.*)\]", told):
        return f"{key} is {found[1]!r}. {nearest(found[1], found[2].split(', '))}"
    if re.match(r"field '.*' is not Optional", told):
        return f"{key} is null, and must have a value."
    if re.match(r"\w+ \(DictConfig\) does not support deletion", told):
        return f"{key} cannot be left out."
    if re.match(r"Invalid type assigned: .* is not a subclass of", told):
        return _section(key, cause)
    for pattern, words in MISFITS.items():
        if found := re.match(pattern, told):
            return f"{key} {words.format(found[1], ' or null' * _may_be_none(cause))}."
    return None


def cause_of(error: BaseException) -> BaseException | None:
    """What Hydra met: it names the cause of a wrong override, and only meets that of a wrong file."""
    return error.__cause__ or (error.__context__ if isinstance(error, HydraException) else None)


def file_of(error: BaseException) -> str:
    """`In experiment/multi30k: `, where Hydra says that a file is at fault; nothing otherwise."""
    found = re.match(r"In '([^']+)': \w+ raised while composing config", str(error))
    return f"In {found[1]}: " if found else ""


def is_from_hydra(error: BaseException) -> bool:
    """Whether Hydra itself raised this: it tells some mistakes by Python's own errors."""
    frames = list(traceback.walk_tb(error.__traceback__))
    return bool(frames) and str(frames[-1][0].f_globals.get("__name__", "")).startswith("hydra.")


def _section(key: str, cause: ValidationError | ConfigTypeError) -> str:
    """One value was given for what has several, or none at all."""
    group = key.replace(".", "/")
    folder = Path(conf_dir()) / group
    if folder.is_dir():
        names = sorted(path.stem for path in folder.glob("*.yaml"))
        return f"{key} is a group and has no value of its own. Choose one of it by {group}=NAME. {nearest('', names)}"
    hint = _hint(cause)
    options = [field.name for field in dataclasses.fields(hint)] if dataclasses.is_dataclass(hint) else []
    allowed = f" {nearest('', options)}" if options else ""
    return f"{key} is a section and has no value of its own. Set an option in it: {key}.OPTION=VALUE.{allowed}"


def _hint(cause: ValidationError | ConfigTypeError) -> object:
    """The declared type of the option, where a dataclass declares it."""
    owner = cause.object_type
    if isinstance(cause.parent_node, DictConfig) and dataclasses.is_dataclass(owner):
        return get_type_hints(owner).get(str(cause.key))
    return None


def _may_be_none(cause: ValidationError | ConfigTypeError) -> bool:
    return type(None) in get_args(_hint(cause))
