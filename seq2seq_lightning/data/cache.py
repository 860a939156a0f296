"""Training splits encoded once and shared: by later runs, by jobs at the same time, by the processes of one job."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from seq2seq_lightning.crash_points import crash_point
from seq2seq_lightning.data.example import EncodedSplit, Pairs, Stream, encode_split
from seq2seq_lightning.data.stored_split import FORMAT, Codecs, DamagedCache, open_split, write_split
from seq2seq_lightning.errors import DataError
from seq2seq_lightning.experiments.files import is_locked, lock, sync_folder
from seq2seq_lightning.experiments.fingerprint import fingerprint

LEAST = 100_000  # pairs from files from which on `auto` uses the cache: fewer are encoded in seconds


class CacheUse(Enum):
    """Where the ids of the training split are kept."""

    auto = "auto"  # in the cache if they are read from files and are 100,000 pairs or more, else in memory
    always = "always"  # in the cache
    never = "never"  # in memory, encoded anew by every job


@dataclass(frozen=True)
class Cache:
    """A folder of encoded splits, and whether to use it.

    identity: what decides the pairs (content hashes or generating fields, see ``Task.identity``).
    """

    folder: Path
    use: CacheUse
    identity: Mapping[str, str]

    @staticmethod
    def at(path: str | None, use: CacheUse, identity: Mapping[str, str]) -> Cache:
        """The cache in a folder; without one in the user's own, `$XDG_CACHE_HOME/seq2seq_lightning`."""
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        return Cache(Path(path or f"{home}/seq2seq_lightning").expanduser().absolute(), use, identity)

    def encode(self, pairs: Pairs, codecs: Codecs) -> EncodedSplit:
        """The ids of training pairs: from the cache, or put there, or in memory."""
        if not self._is_for(pairs):
            return encode_split(pairs, codecs.source, codecs.target, codecs.copies)
        found = self.folder / self.key(codecs)
        if found.exists():
            with suppress(DamagedCache):  # whole entries appear in one step: reading them needs no lock
                return open_split(found)
        return self._made(found, pairs, codecs)

    def key(self, codecs: Codecs) -> str:
        """The name of an entry: content, tokenizers, vocabularies and format decide it."""
        sides = [_digest(codec.to_plain()) for codec in (codecs.source, codecs.target)]
        parts = {"format": FORMAT, "identity": dict(self.identity), "codecs": sides, "copies": codecs.copies}
        return fingerprint(parts, digits=32)

    def _is_for(self, pairs: Pairs) -> bool:
        if self.use is CacheUse.auto:
            return isinstance(pairs, Stream) and len(pairs) >= LEAST
        return self.use is CacheUse.always

    def _made(self, found: Path, pairs: Pairs, codecs: Codecs) -> EncodedSplit:
        """The entry, made by whoever holds its lock first; the others wait and use it."""
        guard = found.with_name(f"{found.name}.lock")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            guard.touch()
            if is_locked(guard):
                _tell(f"waiting for another job that encodes the same corpus into {found}")
            with lock(guard):
                if found.exists():
                    try:
                        return open_split(found)
                    except DamagedCache as damage:
                        _tell(f"the encoded corpus {found} cannot be used: {damage}. It is made anew.")
                self._make(found, pairs, codecs)
                return open_split(found)
        except OSError as error:
            raise DataError(_problem(self.folder, error)) from error
        except DamagedCache as damage:
            raise DataError(
                f"The encoded corpus {found} was written and cannot be used: {damage}. Check the disk, choose another "
                "folder with `paths.cache=…`, or keep the ids in memory with `data.cache=never`."
            ) from damage

    def _make(self, found: Path, pairs: Pairs, codecs: Codecs) -> None:
        """Write beside the place and rename, so that there is a whole entry or none; clears what a kill left behind."""
        for rest in self.folder.glob(f".{found.name}.*"):
            shutil.rmtree(rest, ignore_errors=True)
        _tell(f"encoding {len(pairs):,} training pairs into {found}")
        temporary = self.folder / f".{found.name}.{os.getpid()}.{secrets.token_hex(4)}"
        temporary.mkdir()
        try:
            crash_point("encoded before")
            write_split(temporary, pairs, codecs)
            crash_point("encoded written")
            if found.exists():
                found.rename(self.folder / f".{found.name}.damaged.{secrets.token_hex(4)}")
            crash_point("encoded moved")
            temporary.rename(found)
            sync_folder(self.folder)
            crash_point("encoded after")
        finally:
            for rest in self.folder.glob(f".{found.name}.*"):
                shutil.rmtree(rest, ignore_errors=True)


def _digest(value: object) -> str:
    """SHA-256 of plain values, bytes among them; the order of keys does not matter."""
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()


def _feed(digest: hashlib._Hash, value: object) -> None:
    if isinstance(value, Mapping):
        digest.update(f"mapping {len(value)}:".encode())
        for key in sorted(value):
            _feed(digest, key)
            _feed(digest, value[key])
    elif isinstance(value, list | tuple):
        digest.update(f"list {len(value)}:".encode())
        for each in value:
            _feed(digest, each)
    else:
        content = value if isinstance(value, bytes) else repr(value).encode()
        digest.update(f"{type(value).__name__} {len(content)}:".encode() + content)


def _tell(message: str) -> None:
    print(message, file=sys.stderr)


def _problem(folder: Path, error: OSError) -> str:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    reason = "the disk is full" if full else error.strerror or str(error)
    return (
        f"The encoded corpus could not be written to {folder}: {reason}. "
        + ("Make room there, choose" if full else "Choose")
        + " another folder with `paths.cache=…`, or keep the ids in memory with `data.cache=never`."
    )
