"""Which line looks how: by colour, dashes and marker together, so that nobody needs to tell colours apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from seq2seq_lightning.reports.figures.drawing import Style
from seq2seq_lightning.reports.figures.evidence import TrainedCell

# Okabe and Ito's colours for all kinds of colour vision, darkened where they had less than 3 : 1 on white
COLORS = ("#0072b2", "#c44e00", "#007f5f", "#a8528a", "#8a6d00", "#1c7fa8", "#4d4d4d", "#b0343c")
DASHES = ("solid", "dashed", "dashdot", "dotted")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
MOST_TOGETHER = 8  # cells that one panel shows; more are dealt to several by what sets them apart


def styles(cells: Sequence[TrainedCell]) -> dict[TrainedCell, Style]:
    """A style for each cell: few cells a colour each, many one by the factors in which they differ within a panel."""
    if len(cells) <= MOST_TOGETHER or _is_one_list(cells):
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
    """Cells by the panel that shows them: all in one, or one panel per value of the first factor that varies.

    Where nothing else varies they are one long list, cut into pieces of about equal length.
    """
    if len(cells) <= MOST_TOGETHER:
        return {"": list(cells)}
    if _is_one_list(cells):
        count = -(-len(cells) // MOST_TOGETHER)
        ends = [round(piece * len(cells) / count) for piece in range(count + 1)]
        pieces = [list(cells[first:end]) for first, end in pairwise(ends)]
        return {f"{number} of {count}": piece for number, piece in enumerate(pieces, start=1)}
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


def _is_one_list(cells: Sequence[TrainedCell]) -> bool:
    """Whether the factor that deals cells to panels would give each its own."""
    return len({cell.factors.get(panel_factor(cells)) for cell in cells}) == len(cells)


def _numbered(place: int) -> Style:
    """Of a list; where colours begin anew, other dashes and markers go with them."""
    again = place // len(COLORS)
    return Style(
        COLORS[place % len(COLORS)], DASHES[(place + again) % len(DASHES)], MARKERS[(place + 3 * again) % len(MARKERS)]
    )
