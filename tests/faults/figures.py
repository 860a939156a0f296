"""The figures of the fault suite: one row per scenario in a Markdown table, kept where SEQ2SEQ_FIGURES says."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

from seq2seq_lightning.experiments.files import lock, write_text_durably
from seq2seq_lightning.experiments.record import git_state, installed_versions

VARIABLE = "SEQ2SEQ_FIGURES"
HEAD = """# Faults

Trainings that were disturbed, each continued by the same command until it was finished, and compared with an
undisturbed one: weights, optimiser, averages, history, hypotheses and scores, bit for bit. Each has dropout, ratio 0.5
with sampled tokens, two micro-batches per update, averaged weights, a plateau and early stopping.

- *scenario*: signals come at random moments; a name in code is a crash point, at which the process ends itself as
  `kill -9` would. Of a write, `before` is before anything is written, `during` with half of it on the disk, `written`
  with all of it, but not yet under its name, `after` when it has its name; `encoded` are the arrays of the cache and
  `cache` is their index, `moved` lies between a damaged entry's removal and the new one's appearance.
- *disturbed*: how often a process was ended there.
- *runs*: over how many trainings these are spread. One is ended several times in a row, each process taking up what
  the last one left, before it is let come to its end; so there are fewer of them.
- *identical*: how many of these trainings ended as the undisturbed one, bit for bit.

Written by one `make test-slow` (tests/faults).

| scenario | loader workers | devices | disturbed | runs | identical | measured |
|---|--:|--:|--:|--:|--:|---|
"""


@dataclass(frozen=True)
class Row:
    """What the table tells of a scenario."""

    devices: int
    disturbed: int
    runs: int
    identical: int


def read(path: Path) -> dict[str, Row]:
    """The rows of a table by scenario."""
    cells = [line.strip("| \n").split(" | ") for line in path.read_text("utf-8").splitlines() if line.startswith("| ")]
    return {scenario: Row(*map(int, numbers)) for scenario, _, *numbers, _ in cells[1:]}


def add(scenario: str, workers: str, devices: int, disturbed: int, runs: int, identical: int) -> None:
    """Enter a row, or replace the one of this scenario; without SEQ2SEQ_FIGURES nothing is written."""
    if not os.environ.get(VARIABLE):
        return
    path = Path(os.environ[VARIABLE])
    commit, dirty = git_state(Path(__file__).parent)
    versions = installed_versions(["torch"])
    where = f"{time.strftime('%Y-%m-%d')}, {(commit or '?')[:7]}{'+' * bool(dirty)}, torch {versions.get('torch', '?')}"
    row = f"| {scenario} | {workers} | {devices} | {disturbed} | {runs} | {identical} | {where}, {platform.machine()} |"
    with lock(path.with_name(f".{path.name}.lock")):
        rows = path.read_text("utf-8").splitlines() if path.exists() else []
        rows = [
            each for each in rows if each.startswith("| ") and not each.startswith(("| scenario |", f"| {scenario} |"))
        ]
        write_text_durably(path, HEAD + "\n".join(sorted([*rows, row])) + "\n")
