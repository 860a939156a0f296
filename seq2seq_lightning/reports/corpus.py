"""The figures of a corpus as tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

from rich.console import RenderableType
from rich.table import Table

BINS = 12  # rows of a histogram at most, the last one open
WIDTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SIDES = ("source", "target")

Figures = Mapping[str, Any]  # ``data.description.CorpusFigures`` as plain values


def corpus_tables(figures: Figures) -> Iterator[RenderableType]:
    """Sizes, coverage, lengths, and what is left out, one after the other."""
    yield _sizes(figures["splits"])
    yield ""
    for side in SIDES:
        yield _histogram(side, figures["splits"])
        yield ""
    sizes = ", ".join(f"{side} {figures['vocabularies'][side]:,}" for side in SIDES)
    yield f"vocabularies: {sizes} (4 special ones each)"
    yield (
        f"one epoch: {figures['batches']:,} batches, padding share {figures['padding_share']:.1%} "
        "(pad positions ÷ all, source + target)"
    )
    yield "skipped: " + (", ".join(f"{name} {count:,}" for name, count in figures["skipped"].items()) or "nothing")


def quantile(lengths: Mapping[int, int], share: float) -> int:
    """The length that this share of texts does not exceed."""
    ordered = sorted(lengths)
    needed = share * sum(lengths.values())
    return next(
        (n for n, up_to in zip(ordered, accumulate(lengths[n] for n in ordered), strict=True) if up_to >= needed)
    )


def bin_width(longest: int) -> int:
    """How many lengths stand together, so that BINS rows reach this length as nearly as round numbers allow."""
    return next((width for width in WIDTHS if width * (BINS - 1) >= longest), -(-longest // (BINS - 1)))


def _sizes(splits: Figures) -> Table:
    table = Table(box=None, pad_edge=False)
    columns = ("split", "pairs", "side", "shortest", "median", "95 %", "longest", "tokens", "types", "unknown tokens")
    for column in (*columns, "unknown types"):
        table.add_column(column, justify="left" if column in ("split", "side") else "right")
    for name, split in splits.items():
        for side in SIDES:
            of_side = split[side]
            first = (name, f"{split['pairs']:,}") if side == "source" else ("", "")
            lengths = [f"{quantile(of_side['lengths'], share):,}" for share in (0.0, 0.5, 0.95, 1.0)]
            counts = (f"{of_side['tokens']:,}", f"{of_side['types']:,}")
            table.add_row(*first, side, *lengths, *counts, *_unknown(of_side))
    return table


def _unknown(side: Figures) -> tuple[str, str]:
    """The shares of tokens and types outside the vocabulary."""
    tokens, types = (side[f"unknown_{what}"] / max(side[what], 1) for what in ("tokens", "types"))
    return f"{tokens:.2%}", f"{types:.2%}"


def _histogram(side: str, splits: Figures) -> Table:
    """Texts by length, a row for so many lengths, with bars for the training split."""
    table = Table(box=None, pad_edge=False)
    table.add_column(f"{side} length", justify="right")
    for name in splits:
        table.add_column(name, justify="right")
    table.add_column("")
    reached = max(quantile(split[side]["lengths"], 0.999) for split in splits.values())
    width = bin_width(reached)
    counts = {name: _binned(split[side]["lengths"], width) for name, split in splits.items()}
    most = max(counts["train"].values(), default=1)
    for start in range(max(max(found) for found in counts.values()) + 1):
        shares = [f"{found.get(start, 0):,}" for found in counts.values()]
        bar = "█" * round(30 * counts["train"].get(start, 0) / most)
        table.add_row(_label(start, width), *shares, bar)
    return table


def _binned(lengths: Mapping[int, int], width: int) -> dict[int, int]:
    """Texts by bin; what lies beyond the last one counts in it."""
    found: dict[int, int] = {}
    for length, count in lengths.items():
        place = min(max(length - 1, 0) // width, BINS - 1)
        found[place] = found.get(place, 0) + count
    return found


def _label(place: int, width: int) -> str:
    first, last = place * width + 1, (place + 1) * width
    if place == BINS - 1:
        return f"{first:,}+"
    return f"{first:,}" if width == 1 else f"{first:,}–{last:,}"
