"""Score by source length, one line per row: where a fixed vector loses what attention keeps.

After fig. 2 of Bahdanau et al. 2015 (arXiv 1409.0473) and fig. 4 of Cho et al. 2014 (arXiv 1409.1259).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from seq2seq_lightning.reports.figures.evidence import Decoding, Evidence, Run, TrainedCell
from seq2seq_lightning.reports.figures.figure import Figure, Overlay, Points, legend, numbers, overlaid
from seq2seq_lightning.reports.figures.resampling import interval, interval_over_runs

Band = dict[float, tuple[float, float]]
OF_SENTENCES, OF_RUNS = "over sentences and runs", "over runs alone, where sentences were not kept or tell no sums"


def by_source_length(evidence: Evidence) -> list[Figure]:
    """One panel per score of the table, for each test set that has sentences of several lengths."""
    cells, overlays, told, kinds = list(evidence.runs), [], None, set()
    for test_set in evidence.config.test_sets:
        chosen = {cell: _chosen(runs, test_set) for cell, runs in evidence.runs.items()}
        for metric in evidence.config.metrics:
            points = {cell: found for cell, several in chosen.items() if (found := _points(several, metric))}
            if max(map(len, points.values()), default=0) < 2:
                continue
            bands = {cell: _band(chosen[cell], metric, points[cell]) for cell in points}
            kinds |= {kind for kind, band in bands.values() if band}
            drawn: Mapping[TrainedCell, Band] = {cell: band for cell, (_, band) in bands.items()}
            name = f"{test_set}/{metric}"
            overlays.append(Overlay(name, "source length, tokens", "", points, band=drawn))
            told = told or numbers(f"By source length: {name}", "length, middle", points)
    pictures = overlaid(overlays, cells)
    if not pictures:
        return []
    caption = "Scores of the sentences of each length, in buckets, drawn at their middles; means over seeds. "
    said = f"is the 95 % bootstrap interval {', or '.join(sorted(kinds, key=len))}" if kinds else "spans the runs"
    caption += f"The shade {said}."
    return [Figure("source-length", "Score by source length", caption, pictures, legend(cells), told)]


def _chosen(runs: Sequence[Run], test_set: str) -> list[Decoding]:
    """Of each run, the table's first decoding of a test set."""
    return [
        decoding
        for run in runs
        for decoding in run.decodings
        if decoding.folder.name in run.chosen and decoding.scores.test_set == test_set
    ]


def _points(decodings: Sequence[Decoding], metric: str) -> Points:
    """Middle of each bucket → the scores of the runs."""
    found: dict[float, list[float]] = {}
    for decoding in decodings:
        for bucket in decoding.scores.by_source_length:
            if metric in bucket["scores"]:
                found.setdefault(_middle(bucket), []).append(bucket["scores"][metric]["value"])
    return sorted(found.items())


def _band(decodings: Sequence[Decoding], metric: str, points: Points) -> tuple[str, Band]:
    """Intervals by the sentences of the runs, where all know what each counts, else by the runs alone."""
    kept = [each for decoding in decodings if (each := decoding.counted(metric)) is not None]
    places = _places(decodings[0], kept[0][0]) if kept and len(kept) == len(decodings) else None
    found: dict[float, tuple[float, float] | None]
    if places is not None:
        counts = [counted for _, counted in kept]
        kind, found = OF_SENTENCES, {middle: interval(counts, rows) for middle, rows in places.items()}
    else:
        kind, found = OF_RUNS, {middle: interval_over_runs(values) for middle, values in points}
    return kind, {middle: sides for middle, sides in found.items() if sides is not None}


def _places(decoding: Decoding, lengths: NDArray[np.int64]) -> dict[float, list[int]] | None:
    """Middle of each bucket → the places of its sentences; None where lengths are not those that were counted."""
    found = {}
    for bucket in decoding.scores.by_source_length:
        at_least_one = np.maximum(lengths, 1)
        (rows,) = np.nonzero((bucket["from"] <= at_least_one) & (at_least_one <= bucket["to"]))
        if len(rows) != bucket["n"]:
            return None
        found[_middle(bucket)] = rows.tolist()
    return found


def _middle(bucket: Mapping[str, float]) -> float:
    return (bucket["from"] + bucket["to"]) / 2
