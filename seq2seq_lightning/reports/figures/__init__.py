"""The figures of a report, in the order of the page; each looks for its data, and gives nothing where there is none."""

from __future__ import annotations

from collections.abc import Callable

from seq2seq_lightning.reports.figures.evidence import Evidence, read_evidence
from seq2seq_lightning.reports.figures.figure import Figure
from seq2seq_lightning.reports.figures.learning import gradients, learning_curves, schedules

FIGURES: tuple[Callable[[Evidence], list[Figure]], ...] = (learning_curves, schedules, gradients)

__all__ = ["FIGURES", "Evidence", "Figure", "figures", "read_evidence"]


def figures(evidence: Evidence) -> list[Figure]:
    """All that can be drawn of what the runs hold."""
    return [figure for draw in FIGURES for figure in draw(evidence)]
