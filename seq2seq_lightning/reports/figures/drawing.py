"""Curves and heat maps as small SVG pictures that stand in a page: text stays text, and nothing is fetched.

Each panel is a picture of its own, as wide as a telephone, so that a page can lay them out in as many columns as fit.
Colours of the frame are left to the page (`currentColor`), which may be dark.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure as Canvas
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

WIDTH, HEIGHT = 3.75, 2.65  # inches: 360 pixels wide, the width of a telephone
POINTS = 120  # of a line; what is longer is thinned, as no screen shows more of it
INK = "#010203"  # stands for currentColor until the picture is written
GRID = "#040506"  # stands for the page's colour of lines that are less important
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "figure.facecolor": "none",  # the page's, light or dark
    "axes.facecolor": "none",
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "path.simplify_threshold": 0.5,
}


@dataclass(frozen=True)
class Style:
    """How a line looks; no two of a panel share all of it, so that colour alone tells nothing."""

    color: str
    dashes: str = "solid"
    marker: str = ""


@dataclass(frozen=True)
class Line:
    """One curve, with a band where ``low`` and ``high`` are given."""

    label: str
    style: Style
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Panel:
    """One pair of axes with its lines; ``ticks``: the names of the places 0, 1, … where x is no number."""

    title: str
    x_label: str
    y_label: str
    lines: list[Line]
    ticks: Sequence[str] = ()
    log_y: bool = False


@dataclass(frozen=True)
class HeatMap:
    """Numbers as shades; values: rows from top to bottom."""

    title: str
    x_label: str
    y_label: str
    columns: Sequence[str]
    rows: Sequence[str]
    values: Sequence[Sequence[float]]
    written: bool = False  # the numbers themselves too
    limits: tuple[float, float] | None = field(default=None)


def draw(panel: Panel) -> str:
    """The panel as an SVG element."""
    with rc_context(SETTINGS):
        canvas, axes = _canvas(panel.title, panel.x_label, panel.y_label, HEIGHT)
        for line in panel.lines:
            _draw_line(axes, line)
        if panel.ticks:
            axes.set_xticks(range(len(panel.ticks)), [plain(tick, 12) for tick in panel.ticks])
            if len(panel.ticks) > 7 or max(map(len, panel.ticks)) > 7:
                axes.tick_params(axis="x", rotation=40)
        else:
            places = sorted({x for line in panel.lines for x in line.x})
            axes.xaxis.set_major_locator(FixedLocator(places) if len(places) <= 6 else MaxNLocator(6))
            axes.xaxis.set_major_formatter("{x:g}")
        if panel.log_y and all(value > 0 for line in panel.lines for value in [*line.y, *line.low]):
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=9))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
        return _svg(canvas)


def draw_map(heat_map: HeatMap) -> str:
    """The heat map as an SVG element; dark is much."""
    rows, columns = len(heat_map.rows), len(heat_map.columns)
    with rc_context({**SETTINGS, "axes.grid": False}):
        height = min(max(1.3 + 0.19 * rows, HEIGHT), 6.5)
        canvas, axes = _canvas(heat_map.title, heat_map.x_label, heat_map.y_label, height)
        low, high = heat_map.limits or _limits(heat_map.values)
        shades = axes.imshow(heat_map.values, cmap="Blues", vmin=low, vmax=high, aspect="auto", interpolation="nearest")
        axes.set_xticks(range(columns), [plain(name, 14) for name in heat_map.columns])
        axes.set_yticks(range(rows), [plain(name, 14) for name in heat_map.rows])
        if columns > 6 or max(map(len, heat_map.columns), default=0) > 4:
            axes.tick_params(axis="x", rotation=90 if columns > 12 else 55)
        small = max(rows, columns) > 14
        axes.tick_params(labelsize=7 if small else 9)
        if heat_map.written:
            _write_numbers(axes, heat_map.values, shades.to_rgba(np.array(heat_map.values, dtype=float)))
        return _svg(canvas)


def plain(words: str, longest: int | None = None) -> str:
    """Words without control characters, and not longer than so many letters."""
    kept = "".join(each if unicodedata.category(each)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for each in words)
    return kept if longest is None or len(kept) <= longest else kept[: longest - 1] + "…"


def thinned(points: Sequence[int] | int, most: int = POINTS) -> list[int]:
    """The places of so many points at most, evenly spread, the first and the last among them."""
    count = points if isinstance(points, int) else len(points)
    if count <= most:
        return list(range(count))
    return sorted({round(place * (count - 1) / (most - 1)) for place in range(most)})


def _canvas(title: str, x_label: str, y_label: str, height: float) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
    axes = canvas.add_subplot()
    axes.set_title(plain(title, 52))
    axes.set_xlabel(plain(x_label, 60))
    axes.set_ylabel(plain(y_label, 40))
    axes.set_axisbelow(True)
    return canvas, axes


def _draw_line(axes: Axes, line: Line) -> None:
    places = thinned(len(line.x))
    x = [line.x[place] for place in places]
    if line.low and line.high:
        low, high = ([side[place] for place in places] for side in (line.low, line.high))
        axes.fill_between(x, low, high, color=line.style.color, alpha=0.16, linewidth=0)
    marker = line.style.marker if len(x) <= 12 else ""
    axes.plot(
        x,
        [line.y[place] for place in places],
        color=line.style.color,
        linestyle=line.style.dashes,
        marker=marker or ("o" if len(x) == 1 else ""),
        markersize=4,
        linewidth=1.6,
    )


def _write_numbers(axes: Axes, values: Sequence[Sequence[float]], shades: NDArray[Any]) -> None:
    """Each in its place, a dash where there is none. shades: (rows, columns, 4), the colours behind."""
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            is_there = math.isfinite(value)
            color = ink_on(shades[row, column].tolist()) if is_there else INK
            words = f"{value:.1f}" if is_there else "–"
            axes.text(column, row, words, ha="center", va="center", color=color, fontsize=8)


def ink_on(color: Sequence[float]) -> str:
    """White or black, whichever stands out more from a colour (red, green, blue from 0 to 1)."""
    return max(("#ffffff", "#000000"), key=lambda ink: contrast(to_rgb(ink), color))


def contrast(one: Sequence[float], other: Sequence[float]) -> float:
    """How two colours stand out from each other, from 1 to 21 (WCAG 2.1, 1.4.3)."""
    lights = sorted(_light(each) for each in (one, other))
    return (lights[1] + 0.05) / (lights[0] + 0.05)


def _light(color: Sequence[float]) -> float:
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in color[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _limits(values: Sequence[Sequence[float]]) -> tuple[float, float]:
    finite = [value for line in values for value in line if math.isfinite(value)] or [0.0]
    return min(finite), max(finite) if max(finite) > min(finite) else min(finite) + 1.0


def _svg(canvas: Canvas) -> str:
    """The picture without prolog, date, sizes and needless digits; its ids are its own in the page."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # the reader's fonts draw the text
        nobody = {"Creator": None, "Date": None, "Format": None, "Type": None}
        with rc_context({"svg.hashsalt": "report"}):
            FigureCanvasSVG(canvas).print_svg(file, metadata=nobody)
    text = file.getvalue().decode("utf-8")
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'(<svg [^>]*?)width="[^"]*"( [^>]*?)?height="[^"]*"', r"\1\2", text, count=1)
    text = re.sub(r"<svg ", '<svg aria-hidden="true" focusable="false" ', text, count=1)
    text = re.sub(r'(?<= d=")[^"]*', lambda path: re.sub(r"\s+", " ", _rounded(path[0])), text)
    text = text.replace(INK, "currentColor").replace(GRID, "var(--line)")
    own = hashlib.sha256(text.encode()).hexdigest()[:8]
    text = re.sub(r'(?<= id=")|(?<=url\(#)|(?<=href="#)', f"f{own}-", text)
    return re.sub(r">\s+<(?!tspan)", "><", text).strip()


def _rounded(path: str) -> str:
    return re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}", path)
