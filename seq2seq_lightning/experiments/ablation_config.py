"""What an ablation file says: rows and axes, decodings and seeds, published values and the rule that decides."""

from __future__ import annotations

import itertools
import re
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
    spearman = "spearman"  # rank correlation of our means with the published values, over the cells selected


class Design(Enum):
    """Which combinations of the axes are trained."""

    full = "full"  # every combination
    one_factor = "one_factor"  # the first value of every axis, and from there one axis at a time


class SignificanceTest(Enum):
    """How a difference between two cells of the table is tested."""

    auto = "auto"  # randomisation for BLEU, chrF and TER where hypotheses are stored, paired_t elsewhere
    paired_t = "paired_t"  # Student's t over seeds, each seed of one with the same seed of the other
    wilcoxon = "wilcoxon"  # Wilcoxon's signed ranks over seeds
    randomisation = "randomisation"  # approximate randomisation over sentences, by sacrebleu
    bootstrap = "bootstrap"  # paired bootstrap over sentences, by sacrebleu


SPEED = "sentences_per_second"  # a column like a metric; no score, as it is the machine's too
BUCKET = 5  # scores are kept for sources of 1 to 5 tokens, 6 to 10, …
BY_SENTENCE = ("exact_match", "sequence_error", "expected_exact_match")  # means over sentences, which add up
ALL = "*"  # as the decoding of a criterion or comparison: all of them


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
    but: list[str] = field(default_factory=list)  # rows that are not expected to learn


@dataclass
class CriterionConfig:
    """One line of the rule. Selects runs by row and axes, takes a statistic, compares it with a bound."""

    label: str = ""
    row: str | None = None  # None: all rows
    where: dict[str, Any] = field(default_factory=dict)  # axis → value; axes not named are not restricted
    minus: str | None = None  # the statistic of this row is subtracted
    minus_where: dict[str, Any] = field(default_factory=dict)  # subtract another cell of the grid; default: `where`
    decoding: str | None = None  # None: the first; "*": all
    minus_decoding: str | None = None  # subtract another decoding; default: `decoding`
    metric: str = ""
    test_set: str | None = None  # None: the first
    statistic: Statistic = Statistic.mean
    at_least: float | None = None
    at_most: float | None = None
    within: float | None = None  # d of |own mean - published| <= max(2 standard errors, d)
    clear_by: float | None = None  # of a difference: it must be more than so many of its standard errors

    @property
    def subtracts(self) -> bool:
        """Does it look at a difference?"""
        return self.minus is not None or bool(self.minus_where) or self.minus_decoding is not None


@dataclass
class ComparisonConfig:
    """Differences to be tested: every cell selected, minus the same cell with what `minus…` changes.

    ``{minus: baseline}`` sets every other row against that one, wherever the axes and the decoding are the same.
    """

    row: str | None = None  # None: every row
    where: dict[str, Any] = field(default_factory=dict)  # axis → value; axes not named are not restricted
    decoding: str | None = None  # None or "*": every decoding
    minus: str | None = None  # the row set against it; None: the same
    minus_where: dict[str, Any] = field(default_factory=dict)  # axis → value set against it; default: the same
    minus_decoding: str | None = None  # the decoding set against it; None: the same
    metric: str | None = None  # None: every metric of the table
    test: SignificanceTest = SignificanceTest.auto


@dataclass
class LeftOutConfig:
    """Combinations of the grid that the table does without: those that match all that is named."""

    row: str | None = None
    where: dict[str, Any] = field(default_factory=dict)
    decoding: str | None = None  # None: every decoding, and then nothing is trained
    why: str = ""


@dataclass
class AblationConfig:
    """A table to fill: a base experiment, what varies, what was published, and the rule that decides."""

    name: str = "ablation"
    title: str = ""
    source: str = ""  # where the published values come from
    base: list[str] = field(default_factory=list)  # overrides shared by all trials
    seeds: list[int] = field(default_factory=list)
    rows: list[RowConfig] = field(default_factory=list)
    axes: dict[str, list[Any]] = field(default_factory=dict)  # crossed with the rows; the first value is the base
    design: Design = Design.full
    leave_out: list[LeftOutConfig] = field(default_factory=list)
    published_cells: list[PublishedCellConfig] = field(default_factory=list)
    decodings: list[DecodingRowConfig] = field(default_factory=list)
    metrics: list[str] = field(default_factory=list)
    test_sets: list[str] = field(default_factory=lambda: ["test"])
    analogue: bool = False  # other data than the published: a table after it, which can reproduce nothing
    light: bool = False  # a lighter protocol than the published one: the verdict says so
    trained: TrainedConfig | None = None
    criteria: list[CriterionConfig] = field(default_factory=list)
    comparisons: list[ComparisonConfig] = field(default_factory=list)  # corrected together, for each score (Holm)
    cost: str = ""  # what the table takes, and on what
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
    there = [
        Cell(row.label, tuple(values.items()), decoding.label)
        for row in config.rows or [RowConfig()]
        for values in grid(config.axes, config.design)
        for decoding in config.decodings or [DecodingRowConfig()]
    ]
    without = config.leave_out
    return [cell for cell in there if not any(cell.matches(each.row, each.where, each.decoding) for each in without)]


def columns(config: AblationConfig) -> list[tuple[str, str]]:
    """(test set, metric) of every score in the table, in its order."""
    return [(test_set, metric) for test_set in config.test_sets for metric in config.metrics]


def length_range(metric: str) -> tuple[str, int | None, int | None]:
    """(metric, from, to) of ``metric[from-to]``, a score of sources of so many tokens; None without a range."""
    found = re.fullmatch(r"(\w+)\[(\d+)-(\d+)\]", metric)
    return (found[1], int(found[2]), int(found[3])) if found else (metric, None, None)


def first_decoding(config: AblationConfig) -> str:
    """The label of the decoding meant when none is named."""
    return config.decodings[0].label if config.decodings else ""


def selects(config: AblationConfig, cell: Cell, row: str | None, where: dict[str, Any], decoding: str | None) -> bool:
    """Is this cell among those a criterion or a published value speaks of?

    No decoding means the first. With one factor at a time, axes that are not named beside others stand at their base.
    """
    if where and config.design is Design.one_factor:
        where = {axis: values[0] for axis, values in config.axes.items()} | where
    return cell.matches(row, where, None if decoding == ALL else decoding or first_decoding(config))


def partners(config: AblationConfig, comparison: ComparisonConfig) -> list[tuple[Cell, Cell]]:
    """(cell, the one set against it) of every difference that a comparison asks for, in the order of the table."""
    there = cells(config)
    decoding = comparison.decoding or ALL
    found = [
        (cell, _changed(cell, comparison))
        for cell in there
        if selects(config, cell, comparison.row, comparison.where, decoding)
    ]
    return [(cell, other) for cell, other in found if other != cell and other in there]


def _changed(cell: Cell, comparison: ComparisonConfig) -> Cell:
    row = cell.row_label if comparison.minus is None else comparison.minus
    decoding = cell.decoding_label if comparison.minus_decoding is None else comparison.minus_decoding
    return Cell(row, tuple((dict(cell.axes) | comparison.minus_where).items()), decoding)


def published(config: AblationConfig, cell: Cell, test_set: str, metric: str) -> PublishedConfig | None:
    """What was published for one number of the table, if anything.

    A row's values belong to the first decoding, and a bare metric to the first test set.
    """
    found = _published_of(config, cell)
    bare = found.get(metric) if test_set == config.test_sets[0] else None
    return found.get(f"{test_set}/{metric}", bare)


def grid(axes: dict[str, list[Any]], design: Design = Design.full) -> list[dict[str, Any]]:
    """The combinations of one value for each axis; one empty combination when there are no axes."""
    if design is Design.full:
        return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    if not all(axes.values()):
        return []
    base = {axis: values[0] for axis, values in axes.items()}
    return [base, *(base | {axis: value} for axis, values in axes.items() for value in values[1:])]


def _published_of(config: AblationConfig, cell: Cell) -> dict[str, PublishedConfig]:
    for entry in config.published_cells:
        if selects(config, cell, entry.row, entry.where, entry.decoding):
            return dict(entry.published)
    rows = [row for row in config.rows if row.label == cell.row_label]
    if rows and cell.decoding_label == first_decoding(config):
        return dict(rows[0].published)
    return {}


def _plainly(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
