"""Published files in a folder of the user: found under any usual layout, and checked to be the published ones."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from seq2seq_lightning.data.tasks.reading import is_there, place_of, size_and_hash
from seq2seq_lightning.errors import ConfigurationError, DataError


@dataclass(frozen=True)
class Known:
    """A published file, unpacked."""

    size: int  # bytes
    sha256: str


@dataclass(frozen=True)
class PublishedFiles:
    """A published corpus: its files, where they come from, and the task that reads files of any content instead."""

    known: Mapping[str, Known]
    origin: str
    otherwise: str

    def path(self, folder: str, places: Iterable[str], name: str) -> str:
        """Where a file is, plain or gzip: in one of the places below the folder. Where none is, the first place."""
        if not folder:
            raise ConfigurationError(f"`data.folder` is not given. Set it to a folder with the files of {self.origin}.")
        candidates = [place_of(folder) / place / each for place in places for each in (name, f"{name}.gz")]
        return str(next((path for path in candidates if is_there(path)), candidates[0]))

    def checked(self, path: str) -> str:
        """The SHA-256 of a file's content. Raises DataError for a missing file and for another content."""
        file = Path(path)
        if not is_there(file):
            raise DataError(
                f"`data.folder`: there is no {path}, plain or gzip. Give the folder with the files of {self.origin}."
            )
        size, digest = size_and_hash(path, "data.folder")
        known = self.known[file.name.removesuffix(".gz")]
        if size != known.size:
            problem = f"{size:,} bytes, unpacked, where the published file has {known.size:,}"
        elif digest != known.sha256:
            problem = f"another content (SHA-256 {digest[:16]}…, published {known.sha256[:16]}…)"
        else:
            return digest
        raise DataError(
            f"{path}: {problem}. Copy it again from {self.origin}; for files of your own use `{self.otherwise}`."
        )
