"""Which line looks how: by colour, dashes and marker together, so that nobody needs to tell colours apart."""

from __future__ import annotations

from collections.abc import Sequence

from seq2seq_lightning.reports.figures.drawing import Style
from seq2seq_lightning.reports.figures.evidence import TrainedCell

# Okabe and Ito's colours for all kinds of colour vision, darkened where they had less than 3 : 1 on white
COLORS = ("#0072b2", "#c44e00", "#007f5f", "#a8528a", "#8a6d00", "#1c7fa8", "#4d4d4d", "#b0343c")
DASHES = ("solid", "dashed", "dashdot", "dotted")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MOST_TOGETHER = 8  # cells that one panel shows; more are dealt to several by what sets them apart


def styles(cells: Sequence[TrainedCell]) -> dict[TrainedCell, Style]:
    """A style for each cell: few cells a colour each, many one by the factors in which they differ within a panel."""
    if len(cells) <= MOST_TOGETHER:
        return {cell: _numbered(place) for place, cell in enumerate(cells)}
    factors = [factor for factor in varying(cells) if factor != panel_factor(cells)] or varying(cells)
    values = {factor: list(dict.fromkeys(cell.factors.get(factor, "") for cell in cells)) for factor in factors}

    def place(cell: TrainedCell, number: int) -> int:
        return values[factors[number]].index(cell.factors.get(factors[number], "")) if number < len(factors) else 0

    return {
        cell: Style(
            COLORS[place(cell, 0) % len(COLORS)],
            DASHES[place(cell, 1) % len(DASHES)],
            MARKERS[place(cell, 2) % len(MARKERS)],
        )
        for cell in cells
    }


def panels(cells: Sequence[TrainedCell]) -> dict[str, list[TrainedCell]]:
    """Cells by the panel that shows them: all in one, or one panel per value of the first factor that varies."""
    if len(cells) <= MOST_TOGETHER:
        return {"": list(cells)}
    factor = panel_factor(cells)
    found: dict[str, list[TrainedCell]] = {}
    for cell in cells:
        found.setdefault(cell.factors.get(factor, ""), []).append(cell)
    return found


def panel_factor(cells: Sequence[TrainedCell]) -> str:
    """The factor that deals many cells to panels: the first that varies."""
    return next(iter(varying(cells)), "row")


def varying(cells: Sequence[TrainedCell]) -> list[str]:
    """The factors with more than one value."""
    factors = dict.fromkeys(factor for cell in cells for factor in cell.factors)
    return [factor for factor in factors if len({cell.factors.get(factor) for cell in cells}) > 1]


def _numbered(place: int) -> Style:
    return Style(COLORS[place % len(COLORS)], DASHES[place % len(DASHES)], MARKERS[place % len(MARKERS)])
