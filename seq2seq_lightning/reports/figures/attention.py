"""What the models looked at: attention weights of the outputs of a few sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from seq2seq_lightning.experiments.scores import ATTENTION_NAME
from seq2seq_lightning.reports.figures.drawing import HeatMap
from seq2seq_lightning.reports.figures.evidence import Decoding, Evidence, readable
from seq2seq_lightning.reports.figures.figure import Figure, Picture, mapped

MOST = 6  # pictures in all
EACH = 2  # of each cell
LONGEST = 40  # tokens that a picture has room for


def attention_maps(evidence: Evidence) -> list[Figure]:
    """Heat maps of the first sentences, of the first run of each cell that has attention."""
    pictures: list[Picture] = []
    for cell, runs in evidence.runs.items():
        if runs and len(pictures) < MOST:
            chosen = [each for each in runs[0].decodings if each.folder.name in runs[0].chosen]
            rows = [row for decoding in chosen for row in _rows(decoding)]
            pictures += [_picture(f"{cell.label}, seed {runs[0].seed}", row) for row in rows[:EACH]]
    if not pictures:
        return []
    caption = (
        "Source from left to right, output from top to bottom; each row sums to one, dark is much. The first sentences "
        "of the test set, in the first run of each row. Where attention lies is no proof of what an output rests on."
    )
    return [Figure("attention", "Attention", caption, pictures[:MOST])]


def _rows(decoding: Decoding) -> list[dict[str, Any]]:
    return [row for row in readable(decoding.folder / ATTENTION_NAME) if _is_drawable(row)]


def _is_drawable(row: dict[str, Any]) -> bool:
    """Whether words and weights fit each other, and a picture."""
    source, output, weights = (row.get(key) for key in ("source", "output", "weights"))
    if not (isinstance(source, list) and isinstance(output, list) and isinstance(weights, list)):
        return False
    fits = len(weights) == len(output) and all(isinstance(each, list) and len(each) == len(source) for each in weights)
    return fits and 0 < len(source) <= LONGEST and 0 < len(output) <= LONGEST


def _picture(title: str, row: dict[str, Any]) -> Picture:
    words: Sequence[str] = [str(each) for each in row["source"]]
    made: Sequence[str] = [str(each) for each in row["output"]]
    return mapped(HeatMap(title, "source", "output", words, made, row["weights"], limits=(0.0, 1.0)))
