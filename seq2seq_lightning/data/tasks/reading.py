"""Text files line by line, plain or gzip, with a clear message for whatever cannot be read."""

from __future__ import annotations

import gzip
import hashlib
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, cast

from seq2seq_lightning.errors import DataError

GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
BLOCK = 1 << 20
SETTLED = 2_000_000_000  # nanoseconds after which a further change of a file shows in its time, on any file system


class BadLine(DataError):
    """A line that cannot be used; ``reason`` is its key in `data.bad_input`, where lines may be left out by reason."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def raw_lines(path: str, key: str) -> Iterator[bytes]:
    """The lines of a file without their ends (``\\n`` or ``\\r\\n``) and without a leading byte order mark.

    key: the configuration key that names the file, for messages.
    """
    number = 0
    with _opened(path, key) as stream:
        lines = iter(stream)
        while True:
            with _readable(path, key, number):
                line = next(lines, None)
            if line is None:
                return
            number += 1
            line = line.removesuffix(b"\n").removesuffix(b"\r")
            yield line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line


def text_of(raw: bytes, where: str) -> str:
    """The text of a line, which is UTF-8 without NUL; where: ``file:line``."""
    if b"\0" in raw:
        raise BadLine("nul", f"{where}: a NUL byte at byte {raw.index(0) + 1} of the line. Is this a text file?")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadLine(
            "invalid_utf8",
            f"{where}: invalid UTF-8, byte 0x{raw[error.start]:02x} at byte {error.start + 1} of the line. "
            "Save the file as UTF-8.",
        ) from error


def content_hash(path: str, key: str) -> str:
    """SHA-256 of a file's content, unpacked, so that a file and its gzip have the same."""
    return size_and_hash(path, key)[1]


def size_and_hash(path: str, key: str) -> tuple[int, str]:
    """Bytes and SHA-256 of a file's content, unpacked; read once for all jobs of a sweep, unless it is written anew.

    A file that is just being written is read each time: its next change may bear the same time.
    """
    file = place_of(path)
    if not is_there(file):
        return _size_and_hash.__wrapped__(path, key)
    status = file.stat()
    if abs(time.time_ns() - status.st_mtime_ns) < SETTLED:
        return _size_and_hash.__wrapped__(path, key)
    return _size_and_hash(path, key, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


@lru_cache(maxsize=256)
def _size_and_hash(path: str, key: str, *version: int) -> tuple[int, str]:
    del version
    size, digest = 0, hashlib.sha256()
    for block in blocks(path, key):
        size += len(block)
        digest.update(block)
    return size, digest.hexdigest()


def blocks(path: str, key: str) -> Iterator[bytes]:
    """The content of a file, unpacked, piece by piece."""
    with _opened(path, key) as stream:
        while True:
            try:
                with _readable(path, key, None):
                    block = stream.read(BLOCK)
            except DataError:
                count_lines(path, key)  # fails too, and tells the line
                raise
            if not block:
                return
            yield block


def count_lines(path: str, key: str) -> int:
    """How many lines a file has."""
    return sum(1 for _ in raw_lines(path, key))


def place_of(path: str) -> Path:
    """Where a path leads; one whose `~name` is nobody's home leads to itself, where nothing will be found."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def is_there(path: Path, is_folder: bool = False) -> bool:
    """Whether there is such a file, or folder; no for a path that cannot be one."""
    try:
        return path.is_dir() if is_folder else path.is_file()
    except OSError:  # too long a name
        return False


@contextmanager
def _opened(path: str, key: str) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked if it is gzip, whatever its name says."""
    try:
        file = place_of(path)
        packed = file.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a NUL in it
        raise DataError(
            f"`{key}={path}`: cannot open {path!r}: {_problem(path, error)}. Give the path of a text file, plain or "
            "gzip."
        ) from error
    with packed:
        magic = packed.read(len(GZIP_MAGIC))
        packed.seek(0)
        if magic == GZIP_MAGIC:
            with gzip.open(packed) as unpacked:
                yield cast(BinaryIO, unpacked)
            return
        if magic and file.suffix == ".gz":
            raise DataError(f"`{key}={path}`: the file is named .gz but is not gzip. Rename it, or pack it with gzip.")
        yield packed


def _problem(path: str, error: Exception) -> str:
    """Why a file cannot be opened."""
    if isinstance(error, IsADirectoryError):
        return "is a folder"
    if not isinstance(error, OSError):
        return str(error)
    start = "" if Path(path).is_absolute() else f", seen from {Path.cwd()}"
    return f"{error.strerror or error}{start}"


@contextmanager
def _readable(path: str, key: str, line: int | None) -> Iterator[None]:
    """Turn a failure while reading on into a message; line: the last one read well, if lines are read."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, OSError) as error:
        where = path if line is None else f"{path}:{line + 1}"
        problem = "it ends too early" if isinstance(error, EOFError) else str(error)
        raise DataError(
            f"{where}: cannot read on, the file of `{key}` is truncated or damaged ({problem}). "
            "Copy it again, or pack it again with gzip."
        ) from error
