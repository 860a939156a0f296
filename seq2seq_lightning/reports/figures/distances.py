"""How far back a loss reaches: the norm of its gradient by the distance of the source position, one line per row."""

from __future__ import annotations

from seq2seq_lightning.reports.figures.evidence import Evidence, TrainedCell
from seq2seq_lightning.reports.figures.figure import Figure, Overlay, Points, legend, numbers, overlaid

CURVE = "val/gradient_at_distance/"  # as `training.source_gradients` names it; then a bin: 5, 6-7 or 61+
CAPTION = (
    "The gradient that the loss of one target position sends to the embedding of each source position, by how many "
    "positions were read after it; mean norm over the validation split at the end of training, the axis logarithmic. "
    "Where it vanishes on its way through a recurrence the line falls steadily. Slopes can be compared; heights differ "
    "with how sure the models are. Lines are means over seeds, the shade goes from the lowest to the highest run."
)


def gradients_by_distance(evidence: Evidence) -> list[Figure]:
    """One panel: distance from the end of the source → mean norm of the gradient."""
    points: dict[TrainedCell, Points] = {}
    names = {_middle(key): key for key in evidence.keys if key.startswith(CURVE)}
    for middle, key in sorted(names.items()):
        for cell, found in evidence.means(key).items():
            points.setdefault(cell, []).append((middle, found[-1][1]))
    title, distance = "Gradient norm by source distance", "positions read after it"
    pictures = overlaid([Overlay("Reach of the loss", distance, "norm", points, log_y=True)], list(evidence.runs))
    if not pictures:
        return []
    told = numbers(title, "distance", points, lambda middle: names[middle].removeprefix(CURVE))
    return [Figure("gradient-distance", title, CAPTION, pictures, legend(list(evidence.runs)), told)]


def _middle(key: str) -> float:
    """Of the distances in a bin; of the open one its first."""
    first, _, last = key.removeprefix(CURVE).rstrip("+").partition("-")
    return (int(first) + int(last or first)) / 2
