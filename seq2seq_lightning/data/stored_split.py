"""An encoded split as a folder of flat files: written whole or not at all, and never used unless every byte is right.

``cache.json`` tells format, counts, types and checksums; ``<array>.bin`` are the arrays of an ``EncodedSplit``. Nothing
in it is ever executed: plain numbers in files of known names.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from seq2seq_lightning.crash_points import torn
from seq2seq_lightning.data.example import EncodedSplit, Pair, encode_into
from seq2seq_lightning.errors import DataError
from seq2seq_lightning.experiments.files import read_json, write_json_durably
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec

FORMAT = 1  # raise when the same pairs and codecs give other files
INDEX = "cache.json"
IDS = ("source_ids", "target_ids", "copy_ids")
OFFSETS = ("source_offsets", "target_offsets")
ID_TYPES = ("uint16", "int32")  # little-endian, as everything here runs on
BLOCK = 1 << 18  # ids written at once
BYTES = 1 << 22  # read at once for a checksum


class DamagedCache(DataError):
    """A stored split that cannot be used."""


@dataclass(frozen=True)
class Codecs:
    """What makes ids of pairs; copies: for a model that copies words of the source."""

    source: SourceCodec
    target: TargetCodec
    copies: bool = False


class _File:
    """Numbers appended to a file, with their count and checksum."""

    def __init__(self, file: BinaryIO, kind: str) -> None:
        self.file, self.kind, self.count = file, np.dtype(kind), 0
        self.digest = hashlib.blake2b(digest_size=16)

    def write(self, numbers: array[int]) -> None:
        """Append."""
        content = np.asarray(numbers).astype(self.kind).tobytes()
        self.file.write(content)
        self.digest.update(content)
        self.count += len(numbers)

    def synced(self) -> dict[str, Any]:
        """What the index tells of it, once it is safely on the disk."""
        self.file.flush()
        os.fsync(self.file.fileno())
        return {"dtype": self.kind.name, "count": self.count, "blake2b": self.digest.hexdigest()}


class _Rows:
    """The rows of one side, which go to the disk block by block."""

    def __init__(self, ids: _File, offsets: _File | None) -> None:
        self.ids, self.offsets = ids, offsets
        self.pending, self.ends, self.total = array("i"), array("q", [0]), 0

    def append(self, ids: list[int]) -> None:
        """One more row."""
        self.pending.extend(ids)
        self.total += len(ids)
        self.ends.append(self.total)
        if len(self.pending) >= BLOCK or len(self.ends) >= BLOCK:
            self.flush()

    def flush(self) -> None:
        """Write what has not been written."""
        self.ids.write(self.pending)
        if self.offsets is not None:
            self.offsets.write(self.ends)
        self.pending, self.ends = array("i"), array("q")


def write_split(folder: Path, pairs: Iterable[Pair], codecs: Codecs) -> None:
    """Encode pairs into a folder, which must exist and be empty; the index comes last."""
    kinds = {name: _id_type(name, codecs) for name in IDS if codecs.copies or name != "copy_ids"}
    kinds |= dict.fromkeys(OFFSETS, "int64")
    with ExitStack() as stack:
        paths = {name: folder / f"{name}.bin" for name in kinds}
        opened = {name: torn(stack.enter_context(path.open("xb")), path) for name, path in paths.items()}
        files = {name: _File(opened[name], kinds[name]) for name in kinds}
        sources = _Rows(files["source_ids"], files["source_offsets"])
        targets = _Rows(files["target_ids"], files["target_offsets"])
        copied = _Rows(files["copy_ids"], None) if codecs.copies else None
        encode_into(sources, targets, copied, pairs, codecs.source, codecs.target)
        for rows in (sources, targets, *([copied] if copied else [])):
            rows.flush()
        arrays = {name: file.synced() for name, file in files.items()}
    write_json_durably(folder / INDEX, {"format": FORMAT, "arrays": arrays})


def open_split(folder: Path) -> EncodedSplit:
    """The split in a folder, mapped into memory. Raises DamagedCache unless all of it is as it was written."""
    try:
        index = read_json(folder / INDEX)
        if index["format"] != FORMAT:
            raise DamagedCache(f"it has format {index['format']!r}, and this version reads format {FORMAT}")
        told = index["arrays"]
        names = [name for name in (*IDS, *OFFSETS) if name in told or name != "copy_ids"]
        arrays = {name: _mapped(folder / f"{name}.bin", told[name], name) for name in names}
    except (KeyError, TypeError, AttributeError) as error:
        raise DamagedCache(f"its index {INDEX} is not one ({type(error).__name__}: {error})") from error
    except OSError as error:
        raise DamagedCache(f"{error.filename} cannot be read: {error.strerror}") from error
    except DamagedCache:
        raise
    except DataError as error:
        raise DamagedCache(str(error)) from error
    _check_rows(arrays)
    return EncodedSplit(
        source_ids=arrays["source_ids"],
        source_offsets=arrays["source_offsets"],
        target_ids=arrays["target_ids"],
        target_offsets=arrays["target_offsets"],
        copy_ids=arrays.get("copy_ids"),
    )


def _id_type(name: str, codecs: Codecs) -> str:
    """The smallest type that holds all ids; words to copy have ids beyond the vocabulary."""
    codec = codecs.source if name == "source_ids" else codecs.target
    is_open = codecs.copies and name != "source_ids"
    return "int32" if is_open or len(codec.vocabulary) > 1 << 16 else "uint16"


def _mapped(path: Path, told: dict[str, Any], name: str) -> NDArray[Any]:
    """The numbers of a file whose type, size and checksum are those told."""
    if told["dtype"] not in (("int64",) if name in OFFSETS else ID_TYPES):
        raise DamagedCache(f"its index gives {name} the type {told['dtype']!r}")
    kind, count = np.dtype(told["dtype"]), int(told["count"])
    size = path.stat().st_size
    if size != count * kind.itemsize:
        raise DamagedCache(f"{path.name} has {size} bytes, where {count * kind.itemsize} were written")
    if _checksum(path) != told["blake2b"]:
        raise DamagedCache(f"{path.name} has another checksum than when it was written")
    if not count:
        return np.empty(0, dtype=kind)  # nothing cannot be mapped
    return np.memmap(path, dtype=kind, mode="r").view(np.ndarray)


def _checksum(path: Path) -> str:
    digest = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(BYTES):
            digest.update(block)
    return digest.hexdigest()


def _check_rows(arrays: dict[str, NDArray[Any]]) -> None:
    """Rows begin at 0, end with the ids, and there are as many on both sides."""
    for side in ("source", "target"):
        ids, offsets = arrays[f"{side}_ids"], arrays[f"{side}_offsets"]
        if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(ids) or not _ascend(offsets):
            raise DamagedCache(f"the offsets of the {side}s do not fit their ids")
    if len(arrays["source_offsets"]) != len(arrays["target_offsets"]):
        raise DamagedCache("it has not as many sources as targets")
    if "copy_ids" in arrays and len(arrays["copy_ids"]) != len(arrays["source_ids"]):
        raise DamagedCache("it has not as many words to copy as source ids")


def _ascend(offsets: NDArray[Any]) -> bool:
    """Whether no row ends before it begins."""
    starts = range(0, len(offsets), BLOCK)
    return all(bool((np.diff(offsets[start : start + BLOCK + 1]) >= 0).all()) for start in starts)
