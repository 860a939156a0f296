"""The figures of a report, in the order of the page; each looks for its data, and gives nothing where there is none."""

from __future__ import annotations

from collections.abc import Callable

from seq2seq_lightning.reports.figures.attention import attention_maps
from seq2seq_lightning.reports.figures.distances import gradients_by_distance
from seq2seq_lightning.reports.figures.evidence import Evidence, condense, read_evidence
from seq2seq_lightning.reports.figures.figure import Figure
from seq2seq_lightning.reports.figures.learning import gradients, learning_curves, schedules
from seq2seq_lightning.reports.figures.lengths import by_source_length
from seq2seq_lightning.reports.figures.positions import exposure_bias, source_positions
from seq2seq_lightning.reports.figures.samples import sample_outputs
from seq2seq_lightning.reports.figures.searches import beam_widths, length_penalties, penalty_grids

FIGURES: tuple[Callable[[Evidence], list[Figure]], ...] = (
    by_source_length,
    learning_curves,
    exposure_bias,
    schedules,
    beam_widths,
    length_penalties,
    penalty_grids,
    attention_maps,
    source_positions,
    gradients_by_distance,
    gradients,
)

__all__ = ["FIGURES", "Evidence", "Figure", "condense", "figures", "read_evidence", "sample_outputs"]


def figures(evidence: Evidence) -> list[Figure]:
    """All that can be drawn of what the runs hold."""
    return [figure for draw in FIGURES for figure in draw(evidence)]
