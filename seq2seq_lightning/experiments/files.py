"""Files that survive a kill, a full disk and a second process: durable writes, JSON lines, locks."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import platform
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from seq2seq_lightning import crash_points
from seq2seq_lightning.errors import DataError, UserError


class BusyError(UserError):
    """Another process holds the lock."""


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes ``path`` in one step when the block ends well, and vanishes when it does not.

    Temporary file beside the target, fsync, replace, fsync of the folder: after a power cut there is either
    the old file or the new one, whole.
    """
    path = Path(path)
    temporary = path.parent / f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        crash_points.writing(path, "before")
        with temporary.open("xb") as file:
            yield crash_points.torn(file, path)
            file.flush()
            os.fsync(file.fileno())
        crash_points.writing(path, "written")
        temporary.replace(path)
        sync_folder(path.parent)
        crash_points.writing(path, "after")
    except OSError as error:
        raise DataError(_write_problem(path, error)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text_durably(path: Path, text: str) -> None:
    """Replace ``path`` by ``text`` (UTF-8), whole or not at all."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))


def write_json_durably(path: Path, value: Any) -> None:
    """Replace ``path`` by ``value`` as indented JSON, whole or not at all."""
    write_text_durably(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """The value in a JSON file; a missing or damaged one is named in the error."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise DataError(f"{path} is damaged: it is not JSON ({error}).") from error


def append_jsonl(path: Path, *rows: dict[str, Any]) -> None:
    """Append each row as one line; a half-written last line, left by a kill, is cut off first. One writer at a time."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            _mend_last_line(file)
            crash_points.writing(path, "before")
            crash_points.torn(file, path).write(text.encode("utf-8"))
        crash_points.writing(path, "after")
    except OSError as error:
        raise DataError(_write_problem(path, error)) from error


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON-lines file, or none without one; a half-written last line is dropped, any other refused."""
    try:
        lines = Path(path).read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    rows = [(number, _parse(line)) for number, line in enumerate(lines, start=1) if line.strip()]
    if rows and rows[-1][1] is None:
        rows.pop()
    for number, row in rows:
        if row is None:
            raise DataError(f"{path}:{number} is damaged: the line is not a JSON object.")
    return [row for _, row in rows if row is not None]


@contextmanager
def lock(path: Path, blocking: bool = True) -> Iterator[int]:
    """Hold ``path`` against other processes (flock): freed when the block ends or the process dies, however it dies.

    With ``blocking=False`` a held lock raises ``BusyError``, which says who holds it. Yields the descriptor: a child
    that inherits it holds the lock too, and goes on holding it when the block has ended.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise DataError(_write_problem(path, error)) from error
    try:
        _take(descriptor, path, blocking)
        with suppress(OSError):  # a full disk: the lock holds all the same, only its owner is not named
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, _who().encode("utf-8"), 0)
        yield descriptor
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Is some process holding this lock now?"""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _take(descriptor: int, path: Path, blocking: bool) -> None:
    if blocking:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return
    for attempt in range(5):  # a look by `is_locked` holds the lock for an instant
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if attempt == 4:
                owner = path.read_text(encoding="utf-8", errors="replace").strip() or "another process"
                raise BusyError(f"{path.parent} is in use by {owner}. Wait for it to end, or stop it.") from error
        time.sleep(0.02)


def _who() -> str:
    return f"process {os.getpid()} on {platform.node()} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n"


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _mend_last_line(file: BinaryIO) -> None:
    """Make the file end at a line's end: complete a whole last row, cut a half-written one."""
    size = file.seek(0, os.SEEK_END)
    if not size:
        return
    file.seek(size - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    content = file.read()
    start = content.rfind(b"\n") + 1
    if _parse(content[start:]) is None:
        file.truncate(start)
    else:
        file.write(b"\n")


def sync_folder(folder: Path) -> None:
    """Put on disk which files a folder has."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_problem(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path} was not written: the disk is full. What stood there before is untouched; make room and repeat."
    return f"{path} was not written: {error.strerror or error}."
