"""The figures of a report, in the order of the page; each looks for its data, and gives nothing where there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

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

ROOM = 1_400_000  # letters of all pictures of a page, which is to stay below 2 MB

__all__ = ["FIGURES", "Evidence", "Figure", "condense", "figures", "read_evidence", "sample_outputs"]


def figures(evidence: Evidence) -> list[Figure]:
    """All that can be drawn of what the runs hold, and that a page has room for."""
    return fitting([figure for draw in FIGURES for figure in draw(evidence)])


def fitting(drawn: Sequence[Figure], room: int = ROOM) -> list[Figure]:
    """The figures with so many of their first pictures that all together take no more letters than there is room for.

    Each gives up the same share, and says so; its numbers and one picture stay.
    """
    share = room / max(1, sum(len(picture.svg) for figure in drawn for picture in figure.pictures))
    return [figure if share >= 1 else _shortened(figure, share) for figure in drawn]


def _shortened(figure: Figure, share: float) -> Figure:
    count = len(figure.pictures)
    kept = max(1, int(share * count))
    told = f" The first {kept} of {count} panels, as the page has no room for all." if kept < count else ""
    return replace(figure, pictures=figure.pictures[:kept], caption=figure.caption + told)
