"""Shows how far the jobs of a sweep are, by looking at their directories; launchers and jobs know nothing of it."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
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

from seq2seq_lightning.job import Job


@contextmanager
def watching(jobs: Sequence[tuple[Job, str]], seconds: float = 1.0) -> Iterator[None]:
    """A bar over all jobs and one per active run on a terminal; elsewhere a line whenever a job ends.

    jobs: each with what to call it.
    """
    watcher = _Watcher(jobs, Console(stderr=True))
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
    """Jobs end by the word that stands beside their file; a run is active whose progress was just written."""

    def __init__(self, jobs: Sequence[tuple[Job, str]], console: Console) -> None:
        self.open = {job.ending: (job.folder, name) for job, name in jobs}
        self.count = Counter(job.ending for job, _ in jobs)  # jobs that ask for the same end together
        files = [*self.open, *(_progress(folder) for folder, _ in self.open.values())]
        self.before = {path: _stamp(path) for path in files}  # of an earlier attempt
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
        self.total = self.progress.add_task("jobs", total=len(jobs))
        self.active: dict[Path, TaskID] = {}

    def look(self) -> None:
        """Bring the bars up to date."""
        for ending in [path for path in self.open if _stamp(path) != self.before[path]]:
            self._end(ending)
        runs = {folder: name for folder, name in reversed(self.open.values())}
        for folder in set(self.active) - set(runs):
            self.progress.remove_task(self.active.pop(folder))
        for folder, name in runs.items():
            if _stamp(_progress(folder)) != self.before[_progress(folder)]:
                self._show(folder, name)

    def _show(self, folder: Path, name: str) -> None:
        try:
            seen = json.loads(_progress(folder).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return
        if folder not in self.active:
            self.active[folder] = self.progress.add_task("", total=seen["total"])
        label = f"{name[-60:]} {seen['stage']}"
        self.progress.update(self.active[folder], description=label, completed=seen["done"], total=seen["total"])

    def _end(self, ending: Path) -> None:
        folder, name = self.open.pop(ending)
        self.before[_progress(folder)] = _stamp(_progress(folder))  # until another job of this run goes on
        if folder in self.active:
            self.progress.remove_task(self.active.pop(folder))
        self.progress.advance(self.total, self.count[ending])
        self.console.print(f"{ending.read_text(encoding='utf-8'):>11}  {name}", highlight=False, soft_wrap=True)


def _progress(folder: Path) -> Path:
    return folder / "progress.json"


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file is written again."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino
