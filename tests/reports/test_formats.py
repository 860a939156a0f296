from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
from rich.console import Console

from seq2seq_lightning.experiments.ablation_config import AblationConfig, ComparisonConfig
from seq2seq_lightning.experiments.ledger import TrialResult
from seq2seq_lightning.reports.formats import latex, markdown, show, write_table
from seq2seq_lightning.reports.tables import Page, Table, page

Make = Callable[..., list[TrialResult]]

GOOD = {("left", 1): 80.0, ("left", 2): 90.0, ("jump", 1): 0.5, ("jump", 2): 1.5}

MARKDOWN = """\
# A small table

Source: Somebody 2018.

**Verdict: reproduced (light protocol)**

## Results

| row | published | exact_match, ours: mean ± sd (n) | difference | criterion |
| --- | ---: | ---: | ---: | --- |
| left | 90.3 (5) | 85.00 ± 7.07 (2) | -5.30 | mean ≥ 70: pass |
| jump | 1.2 ± 0.5 [M] | 1.00 ± 0.71 (2) | -0.20 | max ≤ 5: pass |

- [M] from memory, unverified
- test/exact_match: exact|v1; sentences: 100
- train/exact_match: exact|v1; sentences: 100
- ran with torch 2.13.0, 1 thread per run

## Criteria

| criterion | statistic | seen | asked | outcome |
| --- | --- | ---: | --- | --- |
| floor | max exact_match | 1.50 | ≤ 5 | pass |
| learnt | mean exact_match | 85.00 | ≥ 70 | pass |
| gap | mean exact_match | 84.00 | ≥ 60 | pass |

## Runs

| row | seed | test/exact_match | train/exact_match | seconds | status | commit | record |
| --- | ---: | ---: | ---: | ---: | --- | --- | --- |
| left | 1 | 80.00 | 99.00 | 12 | finished | abcdef0 | [left1](../runs/small/left1/record.json) |
| jump | 1 | 0.50 | 99.00 | 12 | finished | abcdef0 | [jump1](../runs/small/jump1/record.json) |
| left | 2 | 90.00 | 99.00 | 12 | finished | abcdef0 | [left2](../runs/small/left2/record.json) |
| jump | 2 | 1.50 | 99.00 | 12 | finished | abcdef0 | [jump2](../runs/small/jump2/record.json) |

## Deviations from the published protocol

- batches of 16
"""


def test_markdown_word_for_word(primitives: AblationConfig, make: Make, tmp_path: Path) -> None:
    assert markdown(page(primitives, make(primitives, GOOD)), tmp_path / "results") == MARKDOWN


def test_all_forms_are_written_and_the_numbers_are_whole(
    primitives: AblationConfig, make: Make, tmp_path: Path
) -> None:
    folder = tmp_path / "results"
    write_table(folder, primitives, make(primitives, GOOD))
    assert sorted(path.name for path in folder.iterdir()) == ["runs.csv", "table.csv", "table.md", "table.tex"]
    assert (folder / "table.md").read_text(encoding="utf-8") == MARKDOWN
    table, runs = pd.read_csv(folder / "table.csv"), pd.read_csv(folder / "runs.csv")
    assert table["sd"].tolist() == [50**0.5, 0.5**0.5]
    assert runs["record"].tolist()[0] == "../runs/small/left1/record.json" and len(runs) == 4
    for link in runs["record"]:
        assert not Path(link).is_absolute()


def test_what_was_tested_is_written_in_every_form(primitives: AblationConfig, make: Make, tmp_path: Path) -> None:
    asked = [ComparisonConfig(row="left", minus="jump")]
    config = replace(primitives, comparisons=asked, cost="a minute")
    results = make(config, GOOD)
    write_table(tmp_path, config, results)
    lines = pd.read_csv(tmp_path / "comparisons.csv")
    assert lines["difference"].tolist() == [84.0] and lines["test"].tolist() == ["paired t over 2 seeds"]
    terminal = Console(file=io.StringIO(), width=200, color_system=None)
    show(page(config, results), terminal)
    assert isinstance(terminal.file, io.StringIO)
    for form in (
        terminal.file.getvalue(),
        (tmp_path / "table.md").read_text("utf-8"),
        (tmp_path / "table.tex").read_text("utf-8"),
    ):
        assert "+84.00 [" in form and "paired t over 2 seeds" in form
    assert "Cost: a minute" in terminal.file.getvalue() and not (tmp_path / "effects.csv").exists()


def test_a_table_is_written_before_anything_ran(primitives: AblationConfig, tmp_path: Path) -> None:
    assert write_table(tmp_path, primitives, []).verdict == "incomplete"
    assert "0 of 2" in (tmp_path / "table.md").read_text(encoding="utf-8")


def test_latex_is_set_with_booktabs_and_escaped() -> None:
    results = Table("Results", ["a_b", "x & y"], [["50 %", "1.00 ± 0.50 (2)"]], ["bleu: c:mixed|e:no|$#"])
    made = Page("T{1}", "", results, Table("Criteria", ["c"], []), Table("Runs", ["r"], []), [], None, [])
    assert latex(made) == (
        "\\begin{table}\n\\centering\n\\caption{T\\{1\\}: results}\n\\begin{tabular}{rr}\n\\toprule\n"
        "a\\_b & x \\& y \\\\\n\\midrule\n50 \\% & 1.00 $\\pm$ 0.50 (2) \\\\\n\\bottomrule\n\\end{tabular}\n"
        "\\par\\small bleu: c:mixed|e:no|\\$\\#\n\\end{table}\n"
    )


def test_a_bar_in_a_cell_does_not_split_it(tmp_path: Path) -> None:
    empty = Table("Criteria", ["c"], [])
    made = Page("T", "", Table("Results", ["a"], [["x|y"]]), empty, empty, [], None, [])
    assert "| x\\|y |" in markdown(made, tmp_path)


def test_the_terminal_shows_results_then_verdict(primitives: AblationConfig, make: Make) -> None:
    console = Console(file=io.StringIO(), width=140, color_system=None)
    results = make(primitives, {**GOOD, ("jump", 2): 7.0})
    show(page(primitives, results), console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "1.2 ± 0.5 [M]" in text
    order = [
        text.index(word) for word in ("A small table", "85.00 ± 7.07 (2)", "abcdef0", "batches of 16", "Verdict: not")
    ]
    assert order == sorted(order)
    assert "- floor: 7.00, not ≤ 5" in text


def test_square_brackets_are_words_not_markup() -> None:
    console = Console(file=io.StringIO(), color_system=None)
    empty = Table("Criteria", ["c"], [])
    show(
        Page("[a]", "[b]", Table("Results", ["[c]"], [["[d]"]], ["[e]"]), empty, empty, ["[f]"], "[g]", ["[h]"]),
        console,
    )
    assert isinstance(console.file, io.StringIO)
    assert all(f"[{letter}]" in console.file.getvalue() for letter in "abcdefgh")


def test_a_table_is_rebuilt_without_torch() -> None:
    script = "import sys, seq2seq_lightning.reports.formats as formats; formats.show; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
