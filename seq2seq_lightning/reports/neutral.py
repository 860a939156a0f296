"""What tables are made of, before anybody draws them: words in rows and columns, and links."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from seq2seq_lightning.experiments.ablation import text
from seq2seq_lightning.experiments.ablation_config import AblationConfig, Cell


@dataclass(frozen=True)
class Link:
    """A word that leads to a file."""

    text: str
    target: Path

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Table:
    """Words in rows and columns."""

    title: str
    columns: list[str]
    rows: list[list[str | Link]]
    footnotes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Page:
    """Everything to be said about an ablation: results, criteria and runs, deviations, verdict."""

    title: str
    source: str
    results: Table
    criteria: Table
    runs: Table
    deviations: list[str]
    verdict: str | None
    reasons: list[str]
    cost: str = ""
    comparisons: Table = field(default_factory=lambda: Table("Comparisons", [], []))
    effects: Table = field(default_factory=lambda: Table("Main effects", [], []))

    @property
    def tables(self) -> list[Table]:
        """Those that have rows, in reading order."""
        tables = (self.results, self.criteria, self.comparisons, self.effects, self.runs)
        return [table for table in tables if table.rows]


def place_columns(config: AblationConfig) -> list[str]:
    """The columns that say which cell of the table a line is about."""
    return [*["row"] * bool(config.rows), *config.axes, *["decoding"] * bool(config.decodings)]


def place(config: AblationConfig, cell: Cell) -> list[str]:
    """What stands in them."""
    axes = [text(value) for _, value in cell.axes]
    return [*[cell.row_label] * bool(config.rows), *axes, *[cell.decoding_label] * bool(config.decodings)]


def score_name(config: AblationConfig, test_set: str, metric: str) -> str:
    """What a score is called: with its test set where there are several."""
    return metric if len(config.test_sets) == 1 else f"{test_set}/{metric}"
