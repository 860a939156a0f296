"""The figures of a benchmark as tables: for the terminal, and as Markdown for a page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from seq2seq_lightning.reports.console import console


@dataclass(frozen=True)
class Sheet:
    """A table as words; the first column names its rows."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def show(figures: dict[str, Any], terminal: Console | None = None) -> None:
    """Print what `seq2seq-benchmark` writes as JSON, schema 1."""
    terminal = terminal or console()
    for line in setting(figures):
        terminal.print(line, highlight=False)
    for sheet in sheets(figures):
        terminal.print()
        terminal.print(sheet.title, style="bold")
        terminal.print(_drawn(sheet, box.SIMPLE_HEAD))


def markdown(figures: dict[str, Any]) -> str:
    """The same as a page of Markdown."""
    parts = ["\n".join(f"- {line}" for line in setting(figures))]
    for sheet in sheets(figures):
        file = io.StringIO()
        Console(file=file, width=400, color_system=None).print(_drawn(sheet, box.MARKDOWN))
        lines = (line.rstrip() for line in file.getvalue().splitlines())
        parts += [f"## {sheet.title}", "\n".join(line for line in lines if line)]
    return "\n\n".join(parts) + "\n"


def setting(figures: dict[str, Any]) -> list[str]:
    """On what the figures were measured, and of what."""
    hardware, versions, training, data = (figures[key] for key in ("hardware", "versions", "training", "data"))
    commit = f"commit {figures['commit'][:10]}" if figures["commit"] else "no commit"
    commit += " with changes" if figures["dirty"] else ""
    load = " to ".join(f"{each:.1f}" for each in figures["load_average"])
    threads = f"{figures['threads']} threads" + f" × {figures['devices']} devices" * (figures["devices"] > 1)
    return [
        f"{hardware.get('gpu', hardware['cpu'])}, {hardware['cores']} cores, {threads}; load average {load}",
        f"{commit}; torch {versions['torch']}, lightning {versions['lightning']}, python {versions['python']}",
        f"data {data['task']}, {data['sizes']['train']:,} pairs; {figures['parameters']:,} parameters; "
        f"batches of {training['batch_size']} {training['batch_unit']}; "
        f"precision {training['precision']}, matrix products {training['matmul_precision']}",
    ]


def sheets(figures: dict[str, Any]) -> list[Sheet]:
    """Training, search, and what the machine can multiply."""
    training = _training(figures["training"], figures["peak"])
    searches = [_searches(figures["searches"])] if figures["searches"] else []
    return [training, *searches, _products(figures["products"])]


def _training(training: dict[str, Any], peak: dict[str, Any]) -> Sheet:
    title = f"Training: {training['windows']} windows of ten updates after {training['warmup']} updates of warm-up"
    rows = [
        ("target tokens/s", *_spread(training["target_tokens_per_second"], 0)),
        ("sentences/s", *_spread(training["sentences_per_second"], 1)),
        ("ms/update", *_spread(training["milliseconds_per_update"], 0)),
        ("useful GFLOP/s", *_spread(training["useful_gflops"], 0)),
        (
            f"share of peak, {peak['gflops']:.0f} GFLOP/s in {peak['arithmetic']}",
            f"{training['share_of_peak']:.0%}",
            "",
        ),
        ("MFLOP/target token", f"{training['megaflops_per_target_token']:.1f}", ""),
        ("target tokens/update", f"{training['target_tokens_per_update']:.0f}", ""),
        ("padding share", f"{training['padding_share']:.1%}", ""),
        ("peak memory, MiB", f"{training['peak_memory_bytes'] / 2**20:,.0f}", ""),
    ]
    return Sheet(title, ("", "median", "min–max"), rows)


def _searches(searches: Sequence[dict[str, Any]]) -> Sheet:
    first = searches[0]
    title = f"Search: {first['sentences']:,} sentences, {first['passes']} passes, by batch size; lengths count eos"
    columns = ("search", "sentences/s", "min–max", "labels/s", "length", "GFLOP/s", "of peak")
    rows = [
        (
            f"{each['name']}, {each['batch_size']}",
            *_spread(each["sentences_per_second"], 1),
            f"{each['labels_per_second']['median']:,.0f}",
            f"{each['labels_per_sentence']:.2f}",
            f"{each['useful_gflops']['median']:.0f}",
            f"{each['share_of_peak']:.0%}",
        )
        for each in searches
    ]
    return Sheet(title, columns, rows)


def _products(products: Sequence[dict[str, Any]]) -> Sheet:
    """One row per shape, one column per arithmetic."""
    names = list(dict.fromkeys(each["arithmetic"] for each in products))
    shapes = list(dict.fromkeys(tuple(each["shape"]) for each in products))
    best = {(tuple(each["shape"]), each["arithmetic"]): f"{each['best']:.0f}" for each in products}
    error = {each["arithmetic"]: f"{each['error']:.0e}" for each in products if each["error"] is not None}
    rows = [(f"({m}, {k}) × ({k}, {n})", *(best[(m, k, n), name] for name in names)) for m, k, n in shapes]
    rows.append(("relative error", *(error.get(name, "") for name in names)))
    return Sheet("Matrix products: GFLOP/s, best of many", ("", *names), rows)


def _spread(values: dict[str, float], digits: int) -> tuple[str, str]:
    median, low, high = (f"{values[key]:,.{digits}f}" for key in ("median", "min", "max"))
    return median, f"{low}–{high}"


def _drawn(sheet: Sheet, style: box.Box) -> Table:
    table = Table(box=style, pad_edge=style is box.MARKDOWN)
    for index, column in enumerate(sheet.columns):
        table.add_column(column, justify="right" if index else "left")
    for row in sheet.rows:
        table.add_row(*row)
    return table
