"""What one decoding of one test set scored, one folder each, so that parallel evaluations never share a file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import MISSING, asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from seq2seq_lightning.errors import DataError
from seq2seq_lightning.experiments.files import read_json, replacing, write_json_durably
from seq2seq_lightning.experiments.fingerprint import fingerprint
from seq2seq_lightning.experiments.record import check_schema

SCHEMA = 1
FILE_NAME = "scores.json"
HYPOTHESES_NAME = "hypotheses.jsonl"
LONGEST_NAME = 120  # characters of decoding and test set in the name of a folder
ATTENTION_NAME = "attention.jsonl"  # of a few sentences: {source, output, weights}


@dataclass
class Score:
    """One number with what makes it comparable."""

    value: float
    signature: str  # how it was computed, in the library's own words
    n: int  # sentences scored


@dataclass
class Scores:
    """One decoding of one test set, schema 1."""

    decoding: dict[str, Any]  # plain config
    decoding_name: str
    test_set: str
    sentences: int
    scores: dict[str, Score]  # metric → value
    by_source_length: list[dict[str, Any]] = field(default_factory=list)
    seconds: float | None = None
    sentences_per_second: float | None = None
    checkpoint: dict[str, Any] = field(default_factory=dict)
    references: str | None = None  # SHA-256 of the references: tells test sets of one name apart
    schema: int = SCHEMA


def decoding_dir(run_dir: Path, decoding: dict[str, Any], test_set: str, metrics: Any) -> Path:
    """Where a decoding of a test set belongs: ``decodings/<name>-<test set>-<hash of decoding, test set, metrics>``."""
    name = str(decoding.get("name", "decoding"))
    digest = fingerprint({"decoding": decoding, "test_set": test_set, "metrics": metrics}, digits=8)
    readable = re.sub(r"[^\w.\-]", "_", f"{name}-{test_set}")[:LONGEST_NAME]  # file systems take 255 bytes
    return Path(run_dir) / "decodings" / f"{readable}-{digest}"


def write_scores(
    folder: Path,
    scores: Scores,
    hypotheses: Iterable[dict[str, Any]] | None = None,
    attention: Iterable[dict[str, Any]] = (),
) -> None:
    """Write hypotheses and attention (a line each, if any), then the scores: where scores are, the others are whole."""
    for name, rows in ((HYPOTHESES_NAME, hypotheses), (ATTENTION_NAME, list(attention) or None)):
        if rows is not None:
            with replacing(Path(folder) / name) as file:
                for row in rows:
                    file.write(json.dumps(row, ensure_ascii=False).encode("utf-8") + b"\n")
    plain = asdict(scores)
    write_json_durably(Path(folder) / FILE_NAME, {"schema": plain.pop("schema"), **plain})


def read_scores(folder: Path) -> Scores:
    """The scores in one decoding folder; damaged or foreign ones are refused with their path."""
    path = Path(folder) / FILE_NAME
    plain = read_json(path)
    if not isinstance(plain, dict) or not isinstance(plain.get("scores"), dict):
        raise DataError(f"{path} is damaged: it holds no scores. Delete the folder to decode again.")
    check_schema(path, plain.get("schema"), SCHEMA)
    try:
        scores = {metric: Score(**score) for metric, score in plain["scores"].items()}
        return Scores(**{**plain, "scores": scores})
    except TypeError as error:
        wanted = [item.name for item in fields(Scores) if item.default is MISSING and item.default_factory is MISSING]
        raise DataError(f"{path} is damaged ({error}). A score file needs {', '.join(wanted)}.") from error


def read_all_scores(run_dir: Path) -> dict[str, Scores]:
    """Every finished decoding of a run: folder name → scores, in the order of the names."""
    return {path.parent.name: read_scores(path.parent) for path in _score_files(run_dir)}


def describe(run_dir: Path, scores: Iterable[Scores]) -> str:
    """Where the run lies and what it scored, one line per score, as the commands print it."""
    lines = [f"run {os.path.relpath(run_dir)}"]
    for each in scores:
        for metric, score in each.scores.items():
            signature = f", {score.signature}" if score.signature else ""
            lines.append(f"  {each.test_set}/{metric} {score.value:.4g}  (n={score.n}{signature})")
    return "\n".join(lines)


def _score_files(run_dir: Path) -> list[Path]:
    return sorted((Path(run_dir) / "decodings").glob(f"*/{FILE_NAME}"))
