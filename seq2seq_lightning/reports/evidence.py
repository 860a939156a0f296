"""The tables of what was tested: differences between cells, and the main effect of each factor."""

from __future__ import annotations

from collections.abc import Sequence

from seq2seq_lightning.experiments.ablation import text
from seq2seq_lightning.experiments.ablation_config import AblationConfig, Cell, Design, columns
from seq2seq_lightning.reports.comparisons import Comparison
from seq2seq_lightning.reports.effects import Effect, spread
from seq2seq_lightning.reports.neutral import Link, Table, place, place_columns, score_name
from seq2seq_lightning.reports.statistics import Interval


def comparisons_table(config: AblationConfig, compared: Sequence[Comparison]) -> Table:
    """What minus what, the difference with its interval, the test, p as it is and corrected, what would decide."""
    several = len(columns(config)) > 1
    names = [
        *place_columns(config),
        "minus",
        *["metric"] * several,
        "difference [95 %]",
        "test",
        "p",
        "p (Holm)",
        "note",
    ]
    rows: list[list[str | Link]] = [
        [
            *place(config, each.first),
            _what_differs(each.first, each.second),
            *[score_name(config, each.test_set, each.metric)] * several,
            _interval(each.difference, each.interval),
            each.test or "–",
            probability(each.p),
            probability(each.corrected),
            each.note,
        ]
        for each in compared
    ]
    over = ["p (Holm): corrected for all comparisons of the same score"] if rows else []
    if any("sentences" in each.test for each in compared):
        over.append(
            "tests over sentences tell of these runs; whether other seeds would show the same, tests over seeds tell"
        )
    return Table("Comparisons", names, rows, over)


def effects_table(config: AblationConfig, mattered: Sequence[Effect]) -> Table:
    """Factor, level, mean effect with its interval, and how far the levels of the factor lie apart, largest first."""
    several = len(columns(config)) > 1
    widths = spread(mattered)
    order = sorted(widths, key=lambda key: -widths[key])
    names = ["factor", "level", *["metric"] * several, "mean effect [95 %]", "over", "spread of the factor"]
    rows: list[list[str | Link]] = [
        [
            each.factor,
            text(each.level) if each.factor in config.axes else str(each.level),
            *[score_name(config, each.test_set, each.metric)] * several,
            "base" if each.is_base else _interval(each.effect, each.interval),
            each.over,
            f"{widths[key]:.2f}",
        ]
        for test_set, metric in columns(config)
        for key in order
        if key[1:] == (test_set, metric)
        for each in mattered
        if (each.factor, each.test_set, each.metric) == key
    ]
    against = "the base" if config.design is Design.one_factor else "the mean of all levels of the factor"
    notes = [f"mean effect: against {against}, all else equal, paired by seed"] if rows else []
    return Table("Main effects", names, rows, notes)


def probability(p: float | None) -> str:
    """A p value for people."""
    return "–" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def _interval(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "–"
    return f"{value:+.2f}" + (f" [{interval.low:.2f}, {interval.high:.2f}]" if interval else "")


def _what_differs(first: Cell, second: Cell) -> str:
    """What of the second cell the first has otherwise."""
    axes = dict(first.axes)
    parts = [second.row_label] * (second.row_label != first.row_label)
    parts += [f"{axis}={text(value)}" for axis, value in second.axes if axes[axis] != value]
    parts += [second.decoding_label] * (second.decoding_label != first.decoding_label)
    return ", ".join(parts)
