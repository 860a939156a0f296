"""The figures of a benchmark as a reader sees them."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
from rich.console import Console

from seq2seq_lightning.reports.throughput import markdown, show


def spread(median: float) -> dict[str, float]:
    return {"median": median, "min": median / 2, "max": median * 2}


def product(arithmetic: str, shape: list[int], best: float, error: float | None) -> dict[str, Any]:
    return {"arithmetic": arithmetic, "shape": shape, "best": best, "median": best / 2, "error": error}


@pytest.fixture
def figures() -> dict[str, Any]:
    return {
        "schema": 1,
        "commit": "0123456789abcdef",
        "dirty": False,
        "versions": {"torch": "2.13", "lightning": "2.6", "python": "3.11"},
        "hardware": {"cpu": "Some CPU", "cores": 2},
        "threads": 2,
        "devices": 1,
        "load_average": [0.12, 1.96],
        "data": {"task": "parallel", "sizes": {"train": 29000}},
        "parameters": 10400000,
        "products": [
            product("float32, highest", [64, 512, 2048], 190.0, None),
            product("float32, highest", [1024, 512, 8000], 205.6, 3e-7),
            product("bfloat16", [64, 512, 2048], 764.0, None),
            product("bfloat16", [1024, 512, 8000], 862.0, 2.4e-3),
        ],
        "peak": {"arithmetic": "float32, highest", "gflops": 205.6},
        "training": {
            "windows": 10,
            "warmup": 50,
            "batch_size": 64,
            "batch_unit": "sentences",
            "precision": "32-true",
            "matmul_precision": "highest",
            "target_tokens_per_second": spread(3000.0),
            "sentences_per_second": spread(220.5),
            "milliseconds_per_update": spread(280.4),
            "useful_gflops": spread(134.0),
            "share_of_peak": 0.6518,
            "megaflops_per_target_token": 44.68,
            "target_tokens_per_update": 830.2,
            "padding_share": 0.0121,
            "peak_memory_bytes": 1024 * 2**20,
        },
        "searches": [
            {
                "name": "beam",
                "batch_size": 32,
                "sentences": 1000,
                "passes": 3,
                "sentences_per_second": spread(130.2),
                "labels_per_second": spread(1435.0),
                "labels_per_sentence": 11.03,
                "useful_gflops": spread(70.0),
                "share_of_peak": 0.34,
            }
        ],
    }


def test_markdown_tells_figures_with_their_spread_and_what_they_were_measured_on(figures: dict[str, Any]) -> None:
    lines = [" ".join(line.split()) for line in markdown(figures).splitlines()]
    assert lines[:3] == [
        "- Some CPU, 2 cores, 2 threads; load average 0.1 to 2.0",
        "- commit 0123456789; torch 2.13, lightning 2.6, python 3.11",
        "- data parallel, 29,000 pairs; 10,400,000 parameters; batches of 64 sentences; precision 32-true, "
        "matrix products highest",
    ]
    assert "## Training: 10 windows of ten updates after 50 updates of warm-up" in lines
    for row in (
        "| | median | min–max |",
        "| target tokens/s | 3,000 | 1,500–6,000 |",
        "| ms/update | 280 | 140–561 |",
        "| share of peak, 206 GFLOP/s in float32, highest | 65% | |",
        "| padding share | 1.2% | |",
        "| peak memory, MiB | 1,024 | |",
        "| beam, 32 | 130.2 | 65.1–260.4 | 1,435 | 11.03 | 70 | 34% |",
        "| (1024, 512) × (512, 8000) | 206 | 862 |",
        "| relative error | 3e-07 | 2e-03 |",
    ):
        assert row in lines


def test_what_was_not_searched_has_no_table(figures: dict[str, Any]) -> None:
    assert "## Search" in markdown(figures)
    assert "## Search" not in markdown(figures | {"searches": []})


def test_a_changed_checkout_and_a_gpu_are_told(figures: dict[str, Any]) -> None:
    figures = copy.deepcopy(figures) | {"dirty": True, "commit": None}
    figures["hardware"]["gpu"] = "Some GPU"
    assert "Some GPU, 2 cores" in markdown(figures)
    assert "no commit with changes; torch" in markdown(figures)


def test_the_terminal_shows_the_same_in_eighty_columns(figures: dict[str, Any]) -> None:
    file = io.StringIO()
    show(figures, Console(file=file, width=80))
    text = " ".join(file.getvalue().split())
    assert "Search: 1,000 sentences, 3 passes, by batch size" in text
    assert "beam, 32 130.2 65.1–260.4 1,435 11.03 70 34%" in text
    assert "target tokens/s 3,000 1,500–6,000" in text
