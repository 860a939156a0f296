"""What an ablation file says: rows and axes, decodings and seeds, published values and the rule that decides."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Mark(Enum):
    """Where a published value was read: the paper, the authors' repository, a transcription, or memory alone."""

    P = "P"
    R = "R"
    T = "T"
    M = "M"


class Statistic(Enum):
    """What a criterion looks at over the runs it selects."""

    mean = "mean"
    max = "max"
    min = "min"


@dataclass
class PublishedConfig:
    """A number somebody printed."""

    value: float = 0.0
    spread: float | None = None  # standard deviation, where given
    n: int | None = None  # runs behind it, where given
    mark: Mark = Mark.M  # M and T are printed beside the number


@dataclass
class RowConfig:
    """One line of the table: a label and what it changes."""

    label: str = ""
    overrides: list[str] = field(default_factory=list)
    published: dict[str, PublishedConfig] = field(default_factory=dict)  # metric, or test set/metric → value


@dataclass
class PublishedCellConfig:
    """Published values of one cell of the table; ``where`` names every axis, ``row`` its row if it has rows."""

    row: str | None = None
    where: dict[str, Any] = field(default_factory=dict)
    decoding: str | None = None  # None: the first
    published: dict[str, PublishedConfig] = field(default_factory=dict)


@dataclass
class DecodingRowConfig:
    """A search applied to every trained run; it never retrains."""

    label: str = ""
    overrides: list[str] = field(default_factory=list)


@dataclass
class TrainedConfig:
    """What every run must have reached before its test scores mean anything; None: nothing is asked."""

    metric: str = "exact_match"
    test_set: str = "train"
    at_least: float = 95.0


@dataclass
class CriterionConfig:
    """One line of the rule. Selects runs by row and axes, takes a statistic, compares it with a bound."""

    label: str = ""
    row: str | None = None  # None: all rows
    where: dict[str, Any] = field(default_factory=dict)  # axis → value; axes not named are not restricted
    minus: str | None = None  # the statistic of this row is subtracted
    minus_where: dict[str, Any] = field(default_factory=dict)  # subtract another cell of the grid; default: `where`
    decoding: str | None = None  # None: the first
    metric: str = ""
    test_set: str | None = None  # None: the first
    statistic: Statistic = Statistic.mean
    at_least: float | None = None
    at_most: float | None = None
    within: float | None = None  # d of |own mean - published| <= max(2 standard errors, d)


@dataclass
class AblationConfig:
    """A table to fill: a base experiment, what varies, what was published, and the rule that decides."""

    name: str = "ablation"
    title: str = ""
    source: str = ""  # where the published values come from
    base: list[str] = field(default_factory=list)  # overrides shared by all trials
    seeds: list[int] = field(default_factory=list)
    rows: list[RowConfig] = field(default_factory=list)
    axes: dict[str, list[Any]] = field(default_factory=dict)  # the full grid, crossed with the rows
    published_cells: list[PublishedCellConfig] = field(default_factory=list)
    decodings: list[DecodingRowConfig] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    test_sets: list[str] = field(default_factory=lambda: ["test"])
    light: bool = False  # a lighter protocol than the published one: the verdict says so
    trained: TrainedConfig | None = None
    criteria: list[CriterionConfig] = field(default_factory=list)
    deviations: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Cell:
    """One place of the table: a row, a value for each axis, a decoding; its seeds are its trials."""

    row_label: str
    axes: tuple[tuple[str, Any], ...]
    decoding_label: str

    def matches(self, row: str | None, where: dict[str, Any], decoding: str | None) -> bool:
        """Is this cell among those a criterion or a published value speaks of? None restricts nothing."""
        values = dict(self.axes)
        return (
            row in (None, self.row_label)
            and decoding in (None, self.decoding_label)
            and all(axis in values and values[axis] == value for axis, value in where.items())
        )

    def __str__(self) -> str:
        parts = [self.row_label, *(f"{axis}={_plainly(value)}" for axis, value in self.axes), self.decoding_label]
        return ", ".join(part for part in parts if part)


def cells(config: AblationConfig) -> list[Cell]:
    """The places of the table, in its order."""
    return [
        Cell(row.label, tuple(values.items()), decoding.label)
        for row in config.rows or [RowConfig()]
        for values in grid(config.axes)
        for decoding in config.decodings or [DecodingRowConfig()]
    ]


def columns(config: AblationConfig) -> list[tuple[str, str]]:
    """(test set, metric) of every score in the table, in its order."""
    return [(test_set, metric) for test_set in config.test_sets for metric in config.metrics]


def first_decoding(config: AblationConfig) -> str:
    """The label of the decoding meant when none is named."""
    return config.decodings[0].label if config.decodings else ""


def published(config: AblationConfig, cell: Cell, test_set: str, metric: str) -> PublishedConfig | None:
    """What was published for one number of the table, if anything.

    A row's values belong to the first decoding, and a bare metric to the first test set.
    """
    found = _published_of(config, cell)
    bare = found.get(metric) if test_set == config.test_sets[0] else None
    return found.get(f"{test_set}/{metric}", bare)


def grid(axes: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Every combination of one value for each axis; one empty combination when there are no axes."""
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def _published_of(config: AblationConfig, cell: Cell) -> dict[str, PublishedConfig]:
    for entry in config.published_cells:
        if cell.matches(entry.row, entry.where, entry.decoding or first_decoding(config)):
            return dict(entry.published)
    rows = [row for row in config.rows if row.label == cell.row_label]
    if rows and cell.decoding_label == first_decoding(config):
        return dict(rows[0].published)
    return {}


def _plainly(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
