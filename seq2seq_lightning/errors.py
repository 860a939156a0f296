"""What a user can do wrong, as exceptions whose message says what, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake a person can mend: the command prints its message, without a traceback, and exits with 2."""


class ConfigurationError(UserError):
    """An option, or a combination of options, that cannot be run."""


class DataError(UserError):
    """A file or a line of it that cannot be read as asked."""


class CheckpointError(UserError):
    """A checkpoint that is missing, damaged, or of another format."""


def nearest(word: str, allowed: Iterable[str]) -> str:
    """A sentence that suggests the allowed word closest to the one seen, or lists them all.

    Returns ``"Did you mean 'lstm'? Allowed: gru, lstm, rnn."`` or ``"Allowed: gru, lstm, rnn."``.
    """
    names = sorted(str(name) for name in allowed)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    question = f"Did you mean '{close[0]}'? " if close else ""
    return f"{question}Allowed: {', '.join(names) or '(none)'}."
