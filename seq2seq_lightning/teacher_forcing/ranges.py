"""The wording of what a number of `teacher_forcing` must be."""

from __future__ import annotations

from seq2seq_lightning.errors import ConfigurationError


def require(holds: bool, key: str, value: float, allowed: str) -> None:
    """Refuse a value that is not as allowed."""
    if not holds:
        raise ConfigurationError(f"teacher_forcing.{key} is {value}; it must be {allowed}.")


def require_probability(key: str, value: float) -> None:
    """Refuse what is no probability of feeding gold."""
    require(0 <= value <= 1, key, value, "a probability of feeding gold, from 0 to 1")
