"""One run as one JSON file: what was asked, on what it ran, how it ended. Every number in a table leads back here."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from seq2seq_lightning.errors import DataError, nearest
from seq2seq_lightning.experiments.files import read_json, write_json_durably
from seq2seq_lightning.experiments.redaction import without_secrets

SCHEMA = 1
STATUSES = ("running", "completed", "failed", "interrupted")
FILE_NAME = "record.json"
HISTORY_NAME = "history.jsonl"  # beside it: what was logged, update by update


class DamagedRecordError(DataError):
    """A record that is not whole."""


@dataclass
class Record:
    """One training run, schema 1; plain values only, so that it reads the same in ten years."""

    status: str  # running | completed | failed | interrupted
    name: str  # the folder of its siblings: runs/<name>/<fingerprint>
    fingerprint: str
    training_version: int  # raised by hand when training numerics change
    config: dict[str, Any]  # resolved
    seed: int
    overrides: list[str] = field(default_factory=list)
    error: str | None = None  # why it failed
    commit: str | None = None  # None: not run from a checkout
    dirty: bool | None = None  # True: tracked files differed from the commit
    versions: dict[str, str] = field(default_factory=dict)
    hardware: dict[str, Any] = field(default_factory=dict)
    threads: int | None = None
    parameters: int | None = None
    data: dict[str, Any] = field(default_factory=dict)  # hashes, sizes, skips
    initial_weights: dict[str, Any] = field(default_factory=dict)  # which checkpoint init_from, which run extend names
    embeddings: dict[str, Any] = field(default_factory=dict)  # by side: the file of vectors, and the words it has
    mechanism: str | None = None  # how own tokens were found: stepwise | parallel, whichever `auto` took
    timings: dict[str, Any] = field(default_factory=dict)  # train_seconds, tokens_per_second, padding_share, …
    started: str | None = None  # ISO 8601, UTC
    finished: str | None = None
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        if not isinstance(self.status, str) or self.status not in STATUSES:
            raise DataError(f"record status '{self.status}' is unknown. {nearest(str(self.status), STATUSES)}")


def write_record(run_dir: Path, record: Record) -> None:
    """Write ``record.json`` whole or not at all, without anything that looks like a key."""
    plain = asdict(record)
    for name in ("name", "error", "config", "overrides", "hardware"):
        plain[name] = without_secrets(plain[name])
    write_json_durably(Path(run_dir) / FILE_NAME, {"schema": plain.pop("schema"), **plain})


def read_record(run_dir: Path) -> Record:
    """The record of a run; a missing, damaged or foreign one is refused with its path."""
    path = Path(run_dir) / FILE_NAME
    if not path.exists():
        raise DataError(f"{path} does not exist: {run_dir} is not the folder of a run.")
    try:
        plain = read_json(path)
    except DataError as error:
        raise DamagedRecordError(f"{error} Delete the file to run the job again.") from error
    if not isinstance(plain, dict) or "schema" not in plain:
        raise DamagedRecordError(f"{path} is damaged: it is not a record. Delete the file to run the job again.")
    check_schema(path, plain["schema"], SCHEMA)
    _check_fields(path, plain)
    try:
        return Record(**plain)
    except DataError as error:
        raise DamagedRecordError(f"{path} is damaged: {error} Delete the file to run the job again.") from error


def check_schema(path: Path, seen: Any, known: int) -> None:
    """Refuse a file of another version, with what to do about it."""
    if seen == known:
        return
    remedy = "Update seq2seq-lightning" if isinstance(seen, int) and seen > known else "Delete it and run the job again"
    raise DataError(f"{path} has schema {seen!r}, but this version reads schema {known}. {remedy}.")


def _check_fields(path: Path, plain: dict[str, Any]) -> None:
    known = {item.name: item for item in fields(Record)}
    unknown = sorted(set(plain) - set(known))
    missing = sorted(
        name
        for name, item in known.items()
        if name not in plain and item.default is MISSING and item.default_factory is MISSING
    )
    if unknown or missing:
        what = [f"unknown {', '.join(unknown)}"] * bool(unknown) + [f"missing {', '.join(missing)}"] * bool(missing)
        raise DamagedRecordError(f"{path} is damaged: {'; '.join(what)}. Delete the file to run the job again.")


def git_state(folder: Path) -> tuple[str | None, bool | None]:
    """(commit, whether tracked files differ from it) of the checkout that tracks ``folder``; (None, None) without one.

    ``results/`` is left out of the question: tables are written there while the runs they show are still going on.
    """
    if _git(folder, "ls-files", "--error-unmatch", ".") is None:  # a folder inside somebody else's checkout
        return None, None
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":(top,exclude)results")
    if commit is None or changes is None:
        return None, None
    return commit.strip(), bool(changes.strip())


def _git(folder: Path, *arguments: str) -> str | None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def hardware() -> dict[str, Any]:
    """Processor, usable cores, memory and host; whoever knows of an accelerator adds ``gpu``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"cpu": _cpu_model(), "cores": cores, "memory_gib": round(memory, 1), "host": platform.node()}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """The version of Python and of each named package that is installed."""
    versions = {"python": platform.python_version()}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
