"""A figure of a page: pictures with words that say the same, one legend, and the numbers behind it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from seq2seq_lightning.reports.figures.drawing import HeatMap, Line, Panel, Style, draw, draw_map
from seq2seq_lightning.reports.figures.evidence import TrainedCell
from seq2seq_lightning.reports.figures.styles import panels, styles
from seq2seq_lightning.reports.tables import Table

Points = list[tuple[float, list[float]]]  # x → the values of the runs


@dataclass(frozen=True)
class Picture:
    """An SVG element, and what it shows in words for those who do not see it."""

    svg: str
    words: str
    is_map: bool = False  # of shades, which a page may not lighten


@dataclass(frozen=True)
class Figure:
    """Pictures that belong together; a figure without pictures is never made."""

    key: str  # its anchor in the page
    title: str
    caption: str
    pictures: list[Picture]
    legend: list[tuple[str, Style]] = field(default_factory=list)
    numbers: Table | None = None


@dataclass(frozen=True)
class Overlay:
    """One panel to be drawn for a set of cells: x → values of the runs, per cell; a band goes from least to most.

    band: (low, high) per cell and x, where it is anything else.
    """

    title: str
    x_label: str
    y_label: str
    points: Mapping[TrainedCell, Points]
    ticks: Sequence[str] = ()
    log_y: bool = False
    band: Mapping[TrainedCell, Mapping[float, tuple[float, float]]] = field(default_factory=dict)


def overlaid(overlays: Iterable[Overlay], cells: Sequence[TrainedCell]) -> list[Picture]:
    """Each overlay as one picture, or as several where there are more cells than one panel can show."""
    look, pictures = styles(cells), []
    for overlay in overlays:
        for name, members in panels(cells).items():
            lines = [_line(overlay, cell, look[cell]) for cell in members if overlay.points.get(cell)]
            if lines:
                title = f"{overlay.title}: {name}" if name else overlay.title
                panel = Panel(title, overlay.x_label, overlay.y_label, lines, overlay.ticks, overlay.log_y)
                pictures.append(Picture(draw(panel), _in_words(panel)))
    return pictures


def mapped(heat_map: HeatMap) -> Picture:
    """A heat map as a picture."""
    size = f"{len(heat_map.rows)} rows and {len(heat_map.columns)} columns"
    words = f"Heat map, {heat_map.title}: {heat_map.y_label} by {heat_map.x_label}, {size}."
    return Picture(draw_map(heat_map), words, is_map=True)


def legend(cells: Sequence[TrainedCell]) -> list[tuple[str, Style]]:
    """Every cell's label beside its style; cells of different panels may share one."""
    look = styles(cells)
    return [(cell.label, look[cell]) for cell in cells]


def numbers(
    title: str, x_name: str, cells: Mapping[TrainedCell, Points], name: Callable[[float], str] = "{:g}".format
) -> Table:
    """What is drawn, as a table: one line per x, one column per cell, mean over runs."""
    places = sorted({x for points in cells.values() for x, _ in points})
    values = {cell: dict(points) for cell, points in cells.items()}
    rows = [[name(x), *(written(values[cell].get(x)) for cell in cells)] for x in places]
    return Table(title, [x_name, *(cell.label for cell in cells)], [list(row) for row in rows])


def written(values: Sequence[float] | None) -> str:
    """The mean of the runs for people; a dash where there are none."""
    return f"{mean(values):.4g}" if values else "–"


def mean(values: Sequence[float]) -> float:
    """The mean over runs."""
    return math.fsum(values) / len(values)


def _line(overlay: Overlay, cell: TrainedCell, style: Style) -> Line:
    points = overlay.points[cell]
    x, y = [place for place, _ in points], [mean(values) for _, values in points]
    band = overlay.band.get(cell, {})
    sides = [band.get(place, (min(values), max(values))) for place, values in points]
    has_band = bool(band) or any(len(values) > 1 for _, values in points)
    low, high = ([side[end] for side in sides] if has_band else [] for end in (0, 1))
    return Line(cell.label, style, x, y, low, high)


def _in_words(panel: Panel) -> str:
    ends = [f"{line.label} from {line.y[0]:.3g} to {line.y[-1]:.3g}" for line in panel.lines]
    return f"{panel.title}: {panel.y_label} by {panel.x_label}. " + "; ".join(ends) + "."
