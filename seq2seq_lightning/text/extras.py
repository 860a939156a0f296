"""Packages that only an extra installs: imported when something of theirs is first needed, and named when missing."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any

from seq2seq_lightning.errors import ConfigurationError


def from_extra(name: str, extra: str, wanted_by: str) -> Any:
    """An object of such a package, e.g. ``from_extra("spacy:blank", "spacy", "the tokenizer spacy")``.

    Names stand in our code alone, never in a configuration or checkpoint. Raises ConfigurationError, with the command
    that installs it, where the package is missing.
    """
    package = name.split(":")[0].split(".")[0]
    try:
        return resolve_name(name)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.split(".")[0] != package:
            raise
        raise ConfigurationError(
            f"{wanted_by[0].upper()}{wanted_by[1:]} needs the package {package}: pip install "
            f"'seq2seq-lightning[{extra}]'."
        ) from error
