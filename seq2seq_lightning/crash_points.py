"""Named places at which a fault-injection test may end this process as a power cut or `kill -9` would.

Nothing happens at any of them unless SEQ2SEQ_CRASH_AT=<name>:<hit> was set when the process started: then the process
kills itself the so-many-th time it comes to the place of that name.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import BinaryIO, NoReturn, cast

VARIABLE = "SEQ2SEQ_CRASH_AT"
COUNT_ONLY = "count"  # instead of a name: crash nowhere, but count what is passed

hits: Counter[str] = Counter()  # how often each place was passed; empty unless armed
_armed: tuple[str, int] | None = None


def arm(text: str | None) -> None:
    """Plan the crash that `text` describes, `<name>:<hit>`, or none; forgets what was counted."""
    global _armed
    name, _, hit = (text or "").rpartition(":")
    _armed = (name, int(hit)) if name else (COUNT_ONLY, 0) if text == COUNT_ONLY else None
    hits.clear()


def is_armed() -> bool:
    """Whether a test looks at this process."""
    return _armed is not None


def crash_point(name: str) -> None:
    """A place at which the process may end."""
    if _armed is None:
        return
    hits[name] += 1
    if _armed == (name, hits[name]):
        _die()


def writing(path: Path, moment: str) -> None:
    """A place before, during or after the write of a file, named by what the file is: `index before`."""
    if _armed is not None:
        crash_point(f"{kind_of(path)} {moment}")


def kind_of(path: Path) -> str:
    """What a file is: `checkpoint`, `encoded` for arrays of ids, or its name without an ending; a job's is a hash."""
    if path.suffix == ".ckpt":
        return "average" if path.stem == "average" else "checkpoint"
    if path.suffix == ".bin":
        return "encoded"
    return "job" if path.parent.name == "jobs" else path.stem


def torn(file: BinaryIO, path: Path) -> BinaryIO:
    """The file to write through: itself, or under test one that leaves half of a write behind when it crashes."""
    return file if _armed is None else cast(BinaryIO, _Torn(file, f"{kind_of(path)} during"))


class _Torn:
    """A file whose every write goes through a crash point in its middle."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name

    def write(self, content: bytes) -> int:
        """Write one half, come to the crash point, write the other."""
        content = bytes(content)
        half = len(content) // 2
        self._file.write(content[:half])
        self._file.flush()
        crash_point(self._name)
        self._file.write(content[half:])
        return len(content)

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("a process outlived SIGKILL")


arm(os.environ.get(VARIABLE))
