"""Shows how far the runs of a sweep are, by looking at their directories; launchers and jobs know nothing of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from seq2seq_lightning.experiments.ledger import State, state_of


@contextmanager
def watching(runs: Mapping[Path, str], seconds: float = 1.0) -> Iterator[None]:
    """A bar over all runs and one per active run on a terminal; elsewhere a line whenever a run ends.

    runs: run directory → what to call it.
    """
    console = Console(stderr=True)
    watcher = _Watcher(runs, console)
    stop = threading.Event()

    def look() -> None:
        while not stop.wait(seconds):
            watcher.look()

    thread = threading.Thread(target=look, daemon=True)
    with watcher.progress:
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            watcher.look()


class _Watcher:
    def __init__(self, runs: Mapping[Path, str], console: Console) -> None:
        self.runs = dict(runs)
        self.before = {run: _stamp(run) for run in runs}  # records of an earlier attempt do not count as endings
        self.console = console
        self.progress = Progress(
            TextColumn("{task.description}", justify="right"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.total = self.progress.add_task("runs", total=len(runs))
        self.active: dict[Path, TaskID] = {}

    def look(self) -> None:
        """Bring the bars up to date."""
        for run in list(self.runs):
            state = state_of(run).state
            changed = _stamp(run) != self.before[run]
            if state is State.running:
                self._show(run)
            elif changed and state in (State.finished, State.failed, State.interrupted):
                self._end(run, state)

    def _show(self, run: Path) -> None:
        try:
            seen = json.loads((run / "progress.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        if run not in self.active:
            self.active[run] = self.progress.add_task("", total=seen["total"])
        label = f"{self.runs[run][-60:]} {seen['stage']}"
        self.progress.update(self.active[run], description=label, completed=seen["done"], total=seen["total"])

    def _end(self, run: Path, state: State) -> None:
        name = self.runs.pop(run)
        if run in self.active:
            self.progress.remove_task(self.active.pop(run))
        self.progress.advance(self.total)
        self.console.print(f"{state.value:>11}  {name}", highlight=False, soft_wrap=True)


def _stamp(run: Path) -> tuple[int, int] | None:
    """What changes when a record is written again."""
    try:
        status = (run / "record.json").stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
