"""Crash points: a process ends exactly where a test asks for it, and nowhere otherwise."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from seq2seq_lightning import crash_points
from seq2seq_lightning.experiments.files import append_jsonl, write_text_durably

PROGRAM = """
import sys
from pathlib import Path
from seq2seq_lightning.experiments.files import write_text_durably
for word in ("first", "second", "third"):
    write_text_durably(Path(sys.argv[1]), word)
"""


@pytest.fixture
def armed() -> Iterator[None]:
    """Counting, and disarmed afterwards."""
    crash_points.arm(crash_points.COUNT_ONLY)
    yield
    crash_points.arm(None)


@pytest.mark.parametrize(
    ("moment", "left"), [("before", "first"), ("during", "first"), ("written", "first"), ("after", "second")]
)
def test_a_process_dies_at_the_hit_that_is_named(moment: str, left: str, tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    environment = {**os.environ, crash_points.VARIABLE: f"record {moment}:2"}
    ended = subprocess.run([sys.executable, "-c", PROGRAM, str(path)], env=environment, timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert path.read_text() == left
    halves = [each.read_text() for each in tmp_path.glob(".record*.tmp")]
    assert halves == {"during": ["sec"], "written": ["second"]}.get(moment, [])


def test_unarmed_nothing_is_counted_and_files_are_themselves(tmp_path: Path) -> None:
    write_text_durably(tmp_path / "record.json", "words")
    crash_points.crash_point("record before")
    assert not crash_points.is_armed() and not crash_points.hits
    with (tmp_path / "record.json").open("rb") as file:
        assert crash_points.torn(file, tmp_path / "record.json") is file


def test_every_write_of_a_run_directory_has_its_points(armed: None, tmp_path: Path) -> None:
    for name in ("checkpoints/step-3.ckpt", "checkpoints/average.ckpt", "jobs/0123.json", "hypotheses.jsonl"):
        write_text_durably(tmp_path / name, "content")
    append_jsonl(tmp_path / "history.jsonl", {"global_step": 1})
    kinds = ("checkpoint", "average", "job", "hypotheses")
    expected = {f"{kind} {moment}" for kind in kinds for moment in ("before", "during", "written", "after")}
    assert set(crash_points.hits) == expected | {f"history {moment}" for moment in ("before", "during", "after")}
    assert (tmp_path / "jobs" / "0123.json").read_text() == "content"
