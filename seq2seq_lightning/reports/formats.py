"""One page in four forms: terminal, Markdown, LaTeX (booktabs), CSV."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from seq2seq_lightning.experiments.ablation_config import AblationConfig
from seq2seq_lightning.experiments.files import write_text_durably
from seq2seq_lightning.experiments.ledger import TrialResult
from seq2seq_lightning.reports.comparisons import compare, comparison_frame
from seq2seq_lightning.reports.console import console
from seq2seq_lightning.reports.effects import effect_frame, effects
from seq2seq_lightning.reports.frame import frame, summary
from seq2seq_lightning.reports.tables import Link, Page, Table, page

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "≥": r"$\geq$", "≤": r"$\leq$", "–": "--",
}  # fmt: skip


def write_table(folder: Path, config: AblationConfig, results: Sequence[TrialResult]) -> Page:
    """Write the page in every form and return it: the one place where the files of a table are written.

    ``table.md``, ``table.tex``; at full precision ``table.csv``, ``runs.csv``, and where there are any
    ``comparisons.csv`` and ``effects.csv``.
    """
    folder = Path(folder)
    compared, mattered = compare(config, results), effects(config, results)
    made = page(config, results, compared, mattered)
    runs = frame(config, results).drop(columns="place", errors="ignore")
    if "record" in runs:
        runs["record"] = [_relative(path, folder) if isinstance(path, Path) else "" for path in runs["record"]]
    write_text_durably(folder / "table.md", markdown(made, folder))
    write_text_durably(folder / "table.tex", latex(made))
    write_text_durably(folder / "table.csv", summary(config, results).drop(columns="place").to_csv(index=False))
    write_text_durably(folder / "runs.csv", runs.to_csv(index=False))
    for name, lines in (("comparisons", comparison_frame(compared)), ("effects", effect_frame(mattered))):
        if len(lines):
            write_text_durably(folder / f"{name}.csv", lines.to_csv(index=False))
    return made


def show(made: Page, terminal: Console | None = None) -> None:
    """Print the page to the terminal, results first, verdict last."""
    terminal = terminal or console()
    terminal.print(f"[bold]{escape(made.title)}[/bold]")
    if made.source:
        terminal.print(escape(made.source), style="dim")
    for table in made.tables:
        terminal.print(_rich(table))
        for note in table.footnotes:
            terminal.print(escape(note), style="dim")
    if made.cost:
        terminal.print(f"\nCost: {escape(made.cost)}")
    if made.deviations:
        terminal.print("\nDeviations from the published protocol:")
    for deviation in made.deviations:
        terminal.print(f"  - {escape(deviation)}")
    if made.verdict:
        terminal.print(f"\n[bold]Verdict: {escape(made.verdict)}[/bold]")
    for reason in made.reasons:
        terminal.print(f"  - {escape(reason)}")


def markdown(made: Page, folder: Path) -> str:
    """The page as Markdown; links are relative to ``folder``, where it will lie."""
    parts = [f"# {made.title}", *[f"Source: {made.source}."] * bool(made.source)]
    if made.verdict:
        parts.append(f"**Verdict: {made.verdict}**")
        parts += [_bullets(made.reasons)] * bool(made.reasons)
    for table in made.tables:
        parts += [
            f"## {table.title}",
            _markdown_table(table, folder),
            *[_bullets(table.footnotes)] * bool(table.footnotes),
        ]
    parts += [f"Cost: {made.cost}."] * bool(made.cost)
    if made.deviations:
        parts += ["## Deviations from the published protocol", _bullets(made.deviations)]
    return "\n\n".join(parts) + "\n"


def latex(made: Page) -> str:
    """All but the runs as LaTeX tables (package booktabs), verdict and deviations as comments for the writer."""
    comments = [*[f"Source: {made.source}"] * bool(made.source), *[f"Verdict: {made.verdict}"] * bool(made.verdict)]
    comments += [f"Deviation: {deviation}" for deviation in made.deviations]
    tables = [_latex_table(table, made.title) for table in made.tables if table is not made.runs]
    return "\n".join([*(f"% {comment}" for comment in comments), *tables]) + "\n"


def _rich(table: Table) -> RichTable:
    drawn = RichTable(title=table.title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for index, column in enumerate(table.columns):
        drawn.add_column(escape(column), justify="right" if _is_numeric(table, index) else "left", overflow="fold")
    for row in table.rows:
        drawn.add_row(*(escape(str(entry)) for entry in row))
    return drawn


def _markdown_table(table: Table, folder: Path) -> str:
    rules = ["---:" if _is_numeric(table, index) else "---" for index in range(len(table.columns))]
    rows = [[_markdown_entry(entry, folder) for entry in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in [table.columns, rules, *rows])


def _markdown_entry(entry: str | Link, folder: Path) -> str:
    words = str(entry).replace("|", "\\|")
    return f"[{words}]({_relative(entry.target, folder)})" if isinstance(entry, Link) else words


def _latex_table(table: Table, caption: str) -> str:
    kinds = "".join("r" if _is_numeric(table, index) else "l" for index in range(len(table.columns)))
    rows = [" & ".join(_latex_text(str(entry)) for entry in row) + r" \\" for row in table.rows]
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering",
            f"\\caption{{{_latex_text(f'{caption}: {table.title.lower()}')}}}",
            f"\\begin{{tabular}}{{{kinds}}}",
            r"\toprule",
            " & ".join(_latex_text(column) for column in table.columns) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            *(f"\\par\\small {_latex_text(note)}" for note in table.footnotes),
            r"\end{table}",
        ]
    )


def _latex_text(words: str) -> str:
    return "".join(_LATEX.get(character, character) for character in words)


def _is_numeric(table: Table, index: int) -> bool:
    """Numbers are set flush right: does every entry of this column that is not empty begin like one?"""
    entries = [str(row[index]) for row in table.rows if str(row[index]) not in ("", "–")]
    return bool(entries) and all(re.match(r"[+-]?\d[\d.,]*( |$)|– ", entry) for entry in entries)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()
