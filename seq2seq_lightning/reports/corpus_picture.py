"""The figures of a corpus as one picture: lengths of both sides and unknown tokens, a line or bar per split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.files import replacing
from seq2seq_lightning.reports.corpus import SIDES

ENDINGS = ("png", "svg", "pdf")
DASHES = ("solid", "dashed", "dashdot", "dotted")

Figures = Mapping[str, Any]


def check_ending(path: str) -> None:
    """Refuse a kind of picture that is not drawn here."""
    if Path(path).suffix.removeprefix(".") not in ENDINGS:
        raise ConfigurationError(
            f"picture={path}: give a file that ends in {', '.join(f'.{each}' for each in ENDINGS)}."
        )


def draw_corpus(figures: Figures, path: Path) -> None:
    """Write the picture; its kind is told by the ending."""
    canvas = Figure(figsize=(12, 3.6), layout="constrained")
    FigureCanvasAgg(canvas)
    *lengths, coverage = canvas.subplots(1, 3)
    for side, axes in zip(SIDES, lengths, strict=True):
        _lengths(axes, side, figures["splits"])
    _coverage(coverage, figures["splits"])
    share = f"{figures['batches']:,} batches per epoch, padding share {figures['padding_share']:.1%}"
    left_out = sum(figures["skipped"].values())
    canvas.suptitle(f"{share}, {left_out:,} pairs left out", fontsize=10)
    kind = path.suffix.removeprefix(".")
    with replacing(path) as file:
        canvas.savefig(file, format=kind, dpi=120, metadata={"Date": None} if kind == "svg" else None)


def _lengths(axes: Axes, side: str, splits: Figures) -> None:
    """The share of texts of each length."""
    for number, (name, split) in enumerate(splits.items()):
        lengths, pairs = split[side]["lengths"], split["pairs"]
        span = range(min(lengths), max(lengths) + 1)
        axes.step(
            span,
            [100 * lengths.get(n, 0) / pairs for n in span],
            where="mid",
            label=name,
            linestyle=DASHES[number % len(DASHES)],
        )
    axes.set(title=f"{side} length", xlabel="positions", ylabel="% of texts")
    axes.legend()


def _coverage(axes: Axes, splits: Figures) -> None:
    """The share of tokens outside the vocabularies."""
    for place, side in enumerate(SIDES):
        shares = [100 * split[side]["unknown_tokens"] / max(split[side]["tokens"], 1) for split in splits.values()]
        places = [row + 0.4 * place - 0.2 for row in range(len(splits))]
        axes.barh(places, shares, height=0.4, label=side, hatch=("", "//")[place])
    axes.set_yticks(range(len(splits)), list(splits))
    axes.invert_yaxis()
    axes.set(title="unknown tokens", xlabel="% of tokens")
    axes.legend()
