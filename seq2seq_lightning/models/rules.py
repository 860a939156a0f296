"""The wording of the plain rules that configs share: each returns a sentence about a broken rule, or none."""

from __future__ import annotations

from dataclasses import fields


def at_least_one(key: str, value: int | None) -> list[str]:
    """A size or a count below one, named by its key; None (a size chosen elsewhere) passes."""
    return [] if value is None or value >= 1 else [f"`{key}={value}` must be at least 1."]


def probability(key: str, value: float, of: str = "dropping a unit") -> list[str]:
    """A probability of dropping, or of what else noise does, outside [0, 1)."""
    if 0.0 <= value < 1.0:
        return []
    return [f"`{key}={value}` must be at least 0.0 and below 1.0: it is the probability of {of}."]


def own_name(group: str, key: str, config: object) -> list[str]:
    """A config whose tag was edited: the name is chosen with the group, and says which class this is."""
    own = {field.name: field.default for field in fields(config)}["name"]  # type: ignore[arg-type]
    seen = config.name  # type: ignore[attr-defined]
    if seen == own:
        return []
    return [f"`{key}.name={seen}` renames the option `{own}` without changing it. Choose it with `{group}={seen}`."]
