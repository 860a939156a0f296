"""An ablation expanded into trials: rows × axes × decodings × seeds, each a list of overrides."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from seq2seq_lightning.experiments.ablation_config import AblationConfig, Cell, cells
from seq2seq_lightning.experiments.ablation_rules import check

_RESERVED = {"true", "false", "null", "none", "nan", "inf"}


@dataclass(frozen=True)
class Trial:
    """One job: the overrides that make it, and the place of the table it fills."""

    place: Cell
    seed: int
    training_overrides: list[str]
    decoding_overrides: list[str]

    @property
    def row_label(self) -> str:
        """The label of its row; empty when the table has axes only."""
        return self.place.row_label

    @property
    def cell(self) -> dict[str, Any]:
        """Axis → value."""
        return dict(self.place.axes)

    @property
    def decoding_label(self) -> str:
        """The label of its decoding; empty when the ablation names none."""
        return self.place.decoding_label

    @property
    def overrides(self) -> list[str]:
        """What to give to the command: training, then decoding."""
        return [*self.training_overrides, *self.decoding_overrides]

    @property
    def key(self) -> str:
        """Its name in files: one line of JSON."""
        return json.dumps([self.row_label, self.cell, self.decoding_label, self.seed], ensure_ascii=False)

    def __str__(self) -> str:
        return ", ".join(part for part in (str(self.place), f"seed {self.seed}") if part)


def expand(config: AblationConfig) -> list[Trial]:
    """All trials, seeds outermost, so that the table fills evenly over its rows before it gains a second seed.

    What the file may not say is refused first, all problems at once.
    """
    check(config)
    overrides = {row.label: row.overrides for row in config.rows} or {"": []}
    searches = {decoding.label: decoding.overrides for decoding in config.decodings} or {"": []}
    return [
        Trial(
            place=cell,
            seed=seed,
            training_overrides=[
                *config.base,
                *overrides[cell.row_label],
                *(override(axis, value) for axis, value in cell.axes),
                override("seed", seed),
            ],
            decoding_overrides=list(searches[cell.decoding_label]),
        )
        for seed in config.seeds
        for cell in cells(config)
    ]


def override(key: str, value: Any) -> str:
    """``key=value`` in the grammar of Hydra's overrides, quoted where the grammar would read something else."""
    return f"{key}={text(value)}"


def text(value: Any) -> str:
    """A plain value as Hydra's grammar spells it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{','.join(text(element) for element in value)}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{text(element)}' for key, element in value.items())}}}"
    word = str(value)
    if re.fullmatch(r"[A-Za-z_][\w./\-]*", word) and word.lower() not in _RESERVED:
        return word
    return "'" + re.sub(r"(\\*)('|$)", _escape, word) + "'"


def _escape(match: re.Match[str]) -> str:
    """Backslashes count only before a quote; there, and at the end, each is doubled."""
    return match.group(1) * 2 + ("\\'" if match.group(2) else "")
