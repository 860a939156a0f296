"""The script that measures peak memory runs, and finds what it is there to show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "memory.py"


@pytest.mark.very_slow
def test_all_logits_at_once_take_more_than_blocks() -> None:
    """1,536 × 32,000 logits are 188 MiB, of which torch keeps several copies; a block has 32 MiB."""
    words = [sys.executable, str(SCRIPT), "--labels", "1536", "--vocabularies", "32000"]
    out = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    title, _, figures = out.splitlines()
    columns = [cell.strip() for cell in title.strip("|").split("|")]
    peaks = dict(zip(columns, (cell.strip() for cell in figures.strip("|").split("|")), strict=True))
    peak = {name: float(value.replace(",", "")) for name, value in peaks.items()}
    assert peak["labels per batch"] == 1536
    assert peak["32,000 words, all logits at once"] > 150 + peak["32,000 words, ours, copying"]
