"""What an exported run keeps so that its figures can be drawn again: thinned curves, and what each sentence counts.

No text and no weights. `curves.json` beside the record, `sentences.json` beside the scores; a few kilobytes each.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2seq_lightning.errors import DataError
from seq2seq_lightning.experiments.files import read_json, write_text_durably
from seq2seq_lightning.metrics import MetricsConfig
from seq2seq_lightning.metrics.counts import counted

Curve = list[tuple[float, float]]  # (update, value), in the order of the updates

CURVES_NAME, SENTENCES_NAME = "curves.json", "sentences.json"
SCHEMA = 1
POINTS = 64  # of a curve, one more at most
DIGITS = 4  # of a value that are kept


# -- curves ------------------------------------------------------------------------------------------------------------


def write_curves(folder: Path, curves: Mapping[str, Curve]) -> None:
    """Write every curve thinned; those that were logged at the same updates share them."""
    thin = {key: thinned(key, curve) for key, curve in sorted(curves.items()) if curve}
    by_updates: dict[tuple[float, ...], dict[str, list[float]]] = {}
    for key, curve in thin.items():
        values = [float(f"{value:.{DIGITS}g}") for _, value in curve]
        by_updates.setdefault(tuple(update for update, _ in curve), {})[key] = values
    told = [{"updates": list(updates), "values": values} for updates, values in by_updates.items()]
    _write(folder / CURVES_NAME, {"schema": SCHEMA, "curves": told})


def thinned(key: str, curve: Curve) -> Curve:
    """Every 2^k-th point for the least k that leaves few, and the last; of curves by position the last alone.

    Powers of two, so that runs of unlike lengths keep points at the same updates and can be averaged.
    """
    if key.startswith("val/") and key.count("/") > 1:
        return curve[-1:]
    stride = 1
    while len(curve) > POINTS * stride:
        stride *= 2
    kept = curve[stride - 1 :: stride]
    return kept if kept[-1] == curve[-1] else [*kept, curve[-1]]


def read_curves(run_dir: Path) -> dict[str, Curve]:
    """The curves of an exported run by key; none where there are none, or none that can be read."""
    try:
        told = _read(run_dir / CURVES_NAME)["curves"]
        return {
            str(key): [(float(update), float(value)) for update, value in zip(each["updates"], values, strict=True)]
            for each in told
            for key, values in each["values"].items()
        }
    except (DataError, KeyError, TypeError, ValueError, AttributeError):
        return {}


# -- sentences ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SentenceSums:
    """Of one decoding of a test set: the source length of each sentence, and per metric what it counts.

    Sentences are sorted by the lengths of source and reference, which are the same for all runs of a row.
    """

    lengths: NDArray[np.int64]  # (sentences,), of the sources
    sums: dict[str, NDArray[np.float64]]  # metric → (sentences, kinds), as `metrics.counts` sums them


def sentence_sums(
    outputs: Sequence[Mapping[str, Any]], metrics: Sequence[str], config: MetricsConfig
) -> SentenceSums | None:
    """Count the rows of `hypotheses.jsonl`; metrics that tell no sums are left out. None without outputs."""
    try:
        texts, references = [row["hypothesis"] for row in outputs], [row["references"] for row in outputs]
        lengths = np.array([row.get("source_length", len(str(row["source"]).split())) for row in outputs], np.int64)
        sizes = np.array([len(str(each[0]).split()) for each in references], np.int64)
    except (KeyError, IndexError, TypeError):
        return None
    if not len(lengths):
        return None
    order = np.lexsort((sizes, lengths))  # stable: equal ones stay in the order of the test set
    found = {metric: counted(metric, texts, references, config) for metric in metrics}
    return SentenceSums(lengths[order], {name: each.sums[order] for name, each in found.items() if each is not None})


def write_sentences(folder: Path, kept: SentenceSums) -> None:
    """Write lengths and sums; a metric whose sums are no whole numbers is left out."""
    lengths = [[int(length), len(list(same))] for length, same in groupby(kept.lengths.tolist())]
    whole = {name: np.rint(sums) for name, sums in kept.sums.items()}
    metrics = {
        name: {"kinds": sums.shape[1], "sums": _packed(sums)}
        for name, sums in whole.items()
        if np.allclose(sums, kept.sums[name], rtol=0, atol=1e-6)
    }
    _write(folder / SENTENCES_NAME, {"schema": SCHEMA, "lengths": lengths, "metrics": metrics})


def read_sentences(folder: Path) -> SentenceSums | None:
    """What was written; None where there is nothing, or nothing that can be read."""
    try:
        told = _read(folder / SENTENCES_NAME)
        lengths = np.repeat(*np.array(told["lengths"], np.int64).reshape(-1, 2).T)
        sums = {
            str(name): _unpacked(each["sums"], (len(lengths), int(each["kinds"])))
            for name, each in told["metrics"].items()
        }
    except (DataError, KeyError, TypeError, ValueError, AttributeError, binascii.Error, zlib.error):
        return None
    return SentenceSums(lengths, sums)


def _packed(sums: NDArray[np.float64]) -> str:
    """Whole numbers as text: by column, as four bytes each, lowest bytes first, compressed (zlib), in base64."""
    planes = sums.T.astype("<i4").reshape(-1, 1).view(np.uint8).T
    return base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode("ascii")


def _unpacked(text: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    """The reverse; more or fewer numbers than expected are refused before they fill the memory."""
    size = 4 * shape[0] * shape[1]
    content = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    if len(content) != size:
        raise ValueError("not as many numbers as sentences")
    planes = np.frombuffer(content, np.uint8).reshape(4, -1)
    return np.ascontiguousarray(planes.T).view("<i4").reshape(shape[::-1]).T.astype(np.float64)


def _write(path: Path, value: Any) -> None:
    """JSON on as few lines as there are entries, as these files are read by nobody but programs."""
    write_text_durably(path, json.dumps(value, separators=(",", ":")) + "\n")


def _read(path: Path) -> dict[str, Any]:
    value = read_json(path)
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise DataError(f"{path} is of another version.")
    return value
