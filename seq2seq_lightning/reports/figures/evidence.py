"""What figures are drawn from: the histories, decodings and outputs that the runs of an ablation hold by now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.experiments.ablation import text
from seq2seq_lightning.experiments.ablation_config import AblationConfig, Cell
from seq2seq_lightning.experiments.files import read_jsonl
from seq2seq_lightning.experiments.ledger import State, TrialResult
from seq2seq_lightning.experiments.record import HISTORY_NAME, read_record
from seq2seq_lightning.experiments.scores import HYPOTHESES_NAME, Scores, read_all_scores
from seq2seq_lightning.metrics import MetricsConfig
from seq2seq_lightning.metrics.counts import Counted, value_of
from seq2seq_lightning.reports.condensed import (
    Curve,
    SentenceSums,
    read_curves,
    read_sentences,
    sentence_sums,
    write_curves,
    write_sentences,
)
from seq2seq_lightning.structure import from_plain


@dataclass(frozen=True)
class Decoding:
    """One decoding of one test set, with the folder that holds its outputs."""

    scores: Scores
    folder: Path
    metrics: MetricsConfig = field(default_factory=MetricsConfig)  # the settings it was scored with

    @cached_property
    def outputs(self) -> list[dict[str, Any]]:
        """The rows of `hypotheses.jsonl`, in the order of the test set; none where they were not kept."""
        return readable(self.folder / HYPOTHESES_NAME)

    def counted(self, metric: str) -> tuple[NDArray[np.int64], Counted] | None:
        """Of each sentence the length of its source, and what it counts in a score: from the outputs, or as exported.

        Sorted as all runs of a row sort them. None where that is not kept, tells no sums, or does not give the score.
        """
        value = value_of(metric, self.metrics)
        kept = sentence_sums(self.outputs, [metric], self.metrics) if self.outputs else self._exported
        if value is None or kept is None or metric not in kept.sums or metric not in self.scores.scores:
            return None
        made = Counted(kept.sums[metric], value)
        is_whole = len(kept.lengths) == self.scores.sentences
        return (kept.lengths, made) if is_whole and abs(made.score - self.scores.scores[metric].value) < 0.01 else None

    @cached_property
    def _exported(self) -> SentenceSums | None:
        return read_sentences(self.folder)


@dataclass(frozen=True)
class Run:
    """One training of a cell: its seed, what it logged, and every decoding of it."""

    seed: int
    curves: dict[str, Curve]
    decodings: list[Decoding] = field(default_factory=list)
    chosen: frozenset[str] = frozenset()  # the folders of the table's first decoding


@dataclass(frozen=True)
class TrainedCell:
    """What is trained alike but for its seed: a row and a value for each axis, whatever the decoding."""

    row: str
    axes: tuple[tuple[str, Any], ...]

    @property
    def factors(self) -> dict[str, str]:
        """What sets it apart, factor by factor."""
        return ({"row": self.row} if self.row else {}) | {name: text(value) for name, value in self.axes}

    @property
    def label(self) -> str:
        """How it is called beside a line."""
        return ", ".join(self.factors.values()) or "all runs"


@dataclass(frozen=True)
class Evidence:
    """The runs of each cell, in the order of the table; a cell without any run is left out."""

    config: AblationConfig
    runs: dict[TrainedCell, list[Run]]

    def means(self, key: str) -> dict[TrainedCell, list[tuple[float, list[float]]]]:
        """Of a logged key, per cell: update → the values of its runs, at updates that all runs with the key reached."""
        found = {}
        for cell, runs in self.runs.items():
            curves = [dict(run.curves[key]) for run in runs if key in run.curves]
            shared = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
            if shared:
                found[cell] = [(update, [curve[update] for curve in curves]) for update in shared]
        return found

    @property
    def keys(self) -> list[str]:
        """Every logged key, each once, sorted."""
        return sorted({key for runs in self.runs.values() for run in runs for key in run.curves})


def read_evidence(config: AblationConfig, results: Sequence[TrialResult]) -> Evidence:
    """Read what the runs hold; trials that share a run read it once, unfinished runs show what they have logged."""
    first = results[0].trial.decoding_label if results else ""
    trials: dict[TrainedCell, dict[Path, list[TrialResult]]] = {}
    for result in results:
        if result.run_dir is not None:
            cell = trained_cell(result.trial.place)
            trials.setdefault(cell, {}).setdefault(result.run_dir, []).append(result)
    runs = {
        cell: [_run(run_dir, several, first) for run_dir, several in folders.items()]
        for cell, folders in trials.items()
    }
    return Evidence(config, runs)


def trained_cell(place: Cell) -> TrainedCell:
    """The cell of a place of the table without its decoding."""
    return TrainedCell(place.row_label, place.axes)


def readable(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of JSON lines; none of a damaged one, as the table does not depend on it."""
    try:
        return read_jsonl(path)
    except DataError:
        return []


def _run(run_dir: Path, results: Sequence[TrialResult], first: str) -> Run:
    finished = results[0].state is State.finished
    found = read_all_scores(run_dir) if finished else {}
    metrics = _metrics(results[0].record.config if results[0].record else {})
    decodings = [Decoding(scores, run_dir / "decodings" / name, metrics) for name, scores in found.items()]
    own = [scores for result in results if result.trial.decoding_label == first for scores in result.scores]
    chosen = frozenset(name for name, scores in found.items() if scores in own)
    return Run(results[0].trial.seed, read_history(run_dir), decodings, chosen)


def _metrics(config: Mapping[str, Any]) -> MetricsConfig:
    """The settings of the metrics in a record's configuration; the defaults where this version reads none there."""
    try:
        return from_plain(MetricsConfig, config["metrics"], {})
    except (KeyError, ConfigurationError):
        return MetricsConfig()


def read_history(run_dir: Path) -> dict[str, Curve]:
    """What a run logged, by key: all of it, or what an exported one kept."""
    return _curves(readable(run_dir / HISTORY_NAME)) or read_curves(run_dir)


def _curves(entries: Iterable[dict[str, Any]]) -> dict[str, Curve]:
    """The history by key; entries that are none, such as a value that is no number, are left out."""
    curves: dict[str, dict[float, float]] = {}
    for entry in entries:
        key, step, value = (entry.get(name) for name in ("key", "global_step", "value"))
        if isinstance(key, str) and isinstance(step, int) and isinstance(value, int | float):
            curves.setdefault(key, {})[step] = float(value)
    return {key: sorted(points.items()) for key, points in curves.items()}


def condense(run_dir: Path, folder: Path, metrics: Sequence[str]) -> None:
    """Put beside the exported record and scores of a run, in ``folder``, what its figures need: see `condensed`.

    metrics: those of the table, whose scores by length have bands.
    """
    if curves := read_history(run_dir):
        write_curves(folder, curves)
    config = _metrics(read_record(run_dir).config)
    for name, scores in read_all_scores(run_dir).items():
        kept = sentence_sums(readable(run_dir / "decodings" / name / HYPOTHESES_NAME), metrics, config)
        if kept is not None and len(kept.lengths) == scores.sentences:
            write_sentences(folder / "decodings" / name, kept)
