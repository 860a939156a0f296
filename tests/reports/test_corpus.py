from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.reports.corpus import bin_width, corpus_tables, quantile
from seq2seq_lightning.reports.corpus_picture import ENDINGS, check_ending, draw_corpus


def side(lengths: dict[int, int], unknown: int = 0) -> dict[str, Any]:
    return {"lengths": lengths, "tokens": 2000, "unknown_tokens": unknown, "types": 50, "unknown_types": unknown // 2}


FIGURES: dict[str, Any] = {
    "splits": {
        "train": {"pairs": 100, "source": side({2: 50, 9: 49, 70: 1}), "target": side({1: 100})},
        "news": {"pairs": 2, "source": side({3: 2}, 20), "target": side({25: 2})},
    },
    "vocabularies": {"source": 1004, "target": 54},
    "batches": 7,
    "padding_share": 0.125,
    "skipped": {"train/empty": 3},
}


def printed(figures: dict[str, Any]) -> str:
    terminal = Console(width=200, record=True, quiet=False)
    with terminal.capture() as captured:
        for table in corpus_tables(figures):
            terminal.print(table, highlight=False)
    return captured.get()


def test_tables_tell_sizes_lengths_coverage_padding_and_skips() -> None:
    lines = [" ".join(line.split()) for line in printed(FIGURES).splitlines()]
    assert "train 100 source 2 2 9 70 2,000 50 0.00% 0.00%" in lines
    assert "target 1 1 1 1 2,000 50 0.00% 0.00%" in lines
    assert "news 2 source 3 3 3 3 2,000 50 1.00% 20.00%" in lines
    assert "1–10 99 2 " + "█" * 30 in lines and "61–70 1 0" in lines
    assert "source 1,004, target 54 (4 special ones each)" in " ".join(lines)
    assert "one epoch: 7 batches, padding share 12.5% (pad positions ÷ all, source + target)" in lines
    assert lines[-1] == "skipped: train/empty 3"
    assert "skipped: nothing" in printed(FIGURES | {"skipped": {}})


def test_the_last_bin_is_open_and_loses_nothing() -> None:
    long = {"pairs": 2001, "source": side({5: 2000, 5000: 1}), "target": side({5: 2001})}
    lines = [" ".join(line.split()) for line in printed(FIGURES | {"splits": {"train": long}}).splitlines()]
    assert "5 2,000 " + "█" * 30 in lines and "12+ 1" in lines


@pytest.mark.parametrize(("longest", "width"), [(1, 1), (11, 1), (12, 2), (56, 10), (11_000, 1000), (22_000, 2000)])
def test_bins_are_round_and_reach_far_enough(longest: int, width: int) -> None:
    assert bin_width(longest) == width


def test_quantiles_are_lengths_that_so_many_do_not_exceed() -> None:
    assert [quantile({1: 1, 4: 2, 9: 1}, share) for share in (0, 0.25, 0.5, 0.75, 0.76, 1)] == [1, 1, 4, 4, 9, 9]


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_picture_is_written_in_each_kind(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"corpus.{ending}"
    draw_corpus(FIGURES, path)
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}
    assert path.read_bytes().startswith(begins[ending])


def test_another_kind_of_picture_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"picture=a.gif: give a file that ends in .png, .svg, .pdf"):
        check_ending("a.gif")
