"""Where runs are and in what state; the run directories are the ledger, and committed records count as finished."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.experiments.ablation import Trial
from seq2seq_lightning.experiments.files import is_locked, read_json, write_json_durably
from seq2seq_lightning.experiments.record import (
    FILE_NAME,
    DamagedRecordError,
    Record,
    check_schema,
    read_record,
    write_record,
)
from seq2seq_lightning.experiments.redaction import without_places
from seq2seq_lightning.experiments.scores import Scores, read_all_scores, write_scores

TRIALS_SCHEMA = 1
TRIALS_NAME = "trials.json"


class State(Enum):
    """How a run stands."""

    missing = "missing"
    running = "running"
    interrupted = "interrupted"
    failed = "failed"
    finished = "finished"


@dataclass(frozen=True)
class RunState:
    """A run found: how it stands, where it lies, and its record (None if damaged, ``problem`` says how)."""

    state: State
    run_dir: Path
    record: Record | None
    problem: str | None = None


@dataclass
class Entry:
    """What a trial became: the run that trained it, and the decoding folders that scored it."""

    fingerprint: str
    decodings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TrialResult:
    """A trial with whatever is known of it by now."""

    trial: Trial
    state: State
    fingerprint: str | None = None
    run_dir: Path | None = None
    record: Record | None = None
    scores: tuple[Scores, ...] = ()
    problem: str | None = None
    folders: tuple[str, ...] = ()  # where each of the scores lies: names of decoding folders, in the same order

    def folder_of(self, scores: Scores) -> Path | None:
        """Where these scores of this result lie, with what was written for each sentence; None if nobody said."""
        place = next((place for place, each in enumerate(self.scores) if each is scores), None)
        if self.run_dir is None or place is None or place >= len(self.folders):
            return None
        return self.run_dir / "decodings" / self.folders[place]


def run_dir(runs: Path, name: str, fingerprint: str) -> Path:
    """``<runs>/<name>/<fingerprint>``; the name must be one folder, because runs are looked up one level down."""
    if not name or name.startswith(".") or any(each in name for each in "/\\\0"):
        raise ConfigurationError(
            f"`name={name}` cannot name a folder of runs. Use one word without '/' or leading '.'."
        )
    return Path(runs) / name / fingerprint


def lock_path(run_dir: Path) -> Path:
    """The file whose lock means: somebody is working in this run directory."""
    return Path(run_dir) / "run.lock"


def claim_path(run_dir: Path) -> Path:
    """The file whose lock means: a command has taken this run, and its worker works here or is about to."""
    return Path(run_dir) / "claim.lock"


def is_busy(run_dir: Path) -> bool:
    """Is somebody working in this run directory, or about to?"""
    return is_locked(lock_path(run_dir)) or is_locked(claim_path(run_dir))


def state_of(run_dir: Path) -> RunState:
    """How one run stands. A record that says running, with nobody holding the lock, was interrupted."""
    run_dir = Path(run_dir)
    if not (run_dir / FILE_NAME).exists():
        return RunState(State.running if is_busy(run_dir) else State.missing, run_dir, None)
    try:
        record = read_record(run_dir)
    except DamagedRecordError as error:
        return RunState(State.failed, run_dir, None, str(error))
    if record.status == "completed":
        return RunState(State.finished, run_dir, record)
    if is_busy(run_dir):
        return RunState(State.running, run_dir, record, record.error)
    state = State.failed if record.status == "failed" else State.interrupted
    return RunState(state, run_dir, record, record.error)


def find_run(fingerprint: str, roots: Iterable[Path]) -> RunState | None:
    """The run of this fingerprint under ``<root>/*/<fingerprint>/``, whatever its name; None where nothing was begun.

    A finished one anywhere is preferred, then one that runs; among equals the first root wins.
    """
    order = [State.finished, State.running, State.interrupted, State.failed]
    found = [state_of(path) for root in roots for path in sorted(Path(root).glob(f"*/{fingerprint}"))]
    begun = [run for run in found if run.state in order]
    return min(begun, key=lambda run: order.index(run.state), default=None)


def all_runs(root: Path) -> Iterator[RunState]:
    """Every run under ``<root>/<name>/<fingerprint>/``, in the order of the paths."""
    for path in sorted(Path(root).glob(f"*/*/{FILE_NAME}")):
        yield state_of(path.parent)


def export(run_dir: Path, results_dir: Path) -> Path:
    """Copy a finished run's record and scores to ``<results_dir>/<fingerprint>/`` for committing; return that folder.

    Without weights and hypotheses, and without absolute paths and machine names.
    """
    record = read_record(run_dir)
    if record.status != "completed":
        raise DataError(f"{run_dir} is {record.status}; only a completed run can be exported. Finish it first.")
    folder = Path(results_dir) / record.fingerprint
    host = record.hardware.get("host")
    for name, scores in read_all_scores(run_dir).items():
        public = without_places({"decoding": scores.decoding, "checkpoint": scores.checkpoint}, host)
        write_scores(folder / "decodings" / name, Scores(**{**vars(scores), **public}))
    plain = without_places({**asdict(record), "hardware": {**record.hardware, "host": None}}, host)
    plain["hardware"].pop("host")
    write_record(folder, Record(**plain))
    return folder


def write_trials(folder: Path, entries: dict[str, Entry]) -> None:
    """Write ``trials.json``: trial key → fingerprint and decoding folders, so that a table needs no composition."""
    trials = {key: asdict(entry) for key, entry in entries.items()}
    write_json_durably(Path(folder) / TRIALS_NAME, {"schema": TRIALS_SCHEMA, "trials": trials})


def read_trials(folder: Path) -> dict[str, Entry]:
    """The entries of ``trials.json``; a missing, damaged or foreign file is refused with its path."""
    path = Path(folder) / TRIALS_NAME
    plain: Any = read_json(path)
    if not isinstance(plain, dict) or not isinstance(plain.get("trials"), dict):
        raise DataError(f"{path} is damaged: it lists no trials. Run the ablation again to rebuild it.")
    check_schema(path, plain.get("schema"), TRIALS_SCHEMA)
    return {key: Entry(**entry) for key, entry in plain["trials"].items()}


def collect(trials: Iterable[Trial], entries: dict[str, Entry], roots: Iterable[Path]) -> list[TrialResult]:
    """What is known of each trial, in their order. Trials that share a run (decodings) look it up once."""
    roots = list(roots)
    runs = {entry.fingerprint: find_run(entry.fingerprint, roots) for entry in entries.values()}
    scores = {name: read_all_scores(run.run_dir) for name, run in runs.items() if run}
    return [_result(trial, entries.get(trial.key), runs, scores) for trial in trials]


def _result(
    trial: Trial, entry: Entry | None, runs: dict[str, RunState | None], scores: dict[str, dict[str, Scores]]
) -> TrialResult:
    run = runs[entry.fingerprint] if entry else None
    if entry is None or run is None:
        return TrialResult(trial, State.missing, entry.fingerprint if entry else None)
    own = scores[entry.fingerprint]
    names = tuple(name for name in entry.decodings if name in own)
    wanted = tuple(own[name] for name in names)
    return TrialResult(trial, run.state, entry.fingerprint, run.run_dir, run.record, wanted, run.problem, names)
