"""How the runs learnt, what they were fed, and what their gradients did, update by update."""

from __future__ import annotations

from collections.abc import Sequence

from seq2seq_lightning.reports.figures.evidence import Evidence, TrainedCell
from seq2seq_lightning.reports.figures.figure import Figure, Overlay, Points, legend, numbers, overlaid

UPDATES = "updates"
LOSSES = ("train/loss", "val/loss", "val/free_running_loss")
NOT_SCORES = ("perplexity", "length_ratio", "repetition_rate", "reference_repetition_rate", "unfinished")
BAND = "Lines are means over seeds, the shade goes from the lowest to the highest run."


def learning_curves(evidence: Evidence) -> list[Figure]:
    """Losses, then every score of the validation split."""
    caption = "As logged while the runs trained; val is the validation split. " + BAND
    return _of_keys(evidence, "learning", "Learning curves", caption, learning_keys(evidence))


def learning_keys(evidence: Evidence) -> list[str]:
    """The keys of the losses and scores that the runs logged, losses first."""
    scores = [
        key
        for key in evidence.keys
        if key.startswith("val/") and key.count("/") == 1 and key.removeprefix("val/") not in NOT_SCORES
    ]
    return [key for key in LOSSES if key in evidence.keys] + [key for key in scores if key not in LOSSES]


def schedules(evidence: Evidence) -> list[Figure]:
    """The schedule of teacher forcing and what it came to; nothing where every token fed was gold."""
    if not any(
        value < 1 for points in evidence.means("train/ratio").values() for _, several in points for value in several
    ):
        return []
    caption = (
        "The probability of feeding the true token, as scheduled, and the share of tokens that were the model's own, "
        "of those that could have been. " + BAND
    )
    names = {"train/ratio": "probability of gold", "train/fed_back": "share fed back"}
    return _of_keys(evidence, "schedules", "What was fed", caption, list(names), names)


def gradients(evidence: Evidence) -> list[Figure]:
    """The norm of each part's gradient, before clipping."""
    keys = [key for key in evidence.keys if key.startswith("train/gradient_norm/")]
    caption = "The norm of the gradient of each part of the model, before clipping. " + BAND
    names = {key: key.rsplit("/", 1)[1] for key in keys}
    return _of_keys(evidence, "gradients", "Gradients", caption, keys, names, log_y=True)


def _of_keys(
    evidence: Evidence,
    key: str,
    title: str,
    caption: str,
    keys: Sequence[str],
    names: dict[str, str] | None = None,
    log_y: bool = False,
) -> list[Figure]:
    cells = list(evidence.runs)
    logged = {each: found for each in keys if (found := evidence.means(each))}
    overlays = [
        Overlay((names or {}).get(each, each), UPDATES, "norm" if log_y else "", found, log_y=log_y)
        for each, found in logged.items()
    ]
    pictures = overlaid(overlays, cells)
    if not pictures:
        return []
    last: dict[TrainedCell, Points] = {
        cell: [(place, found[cell][-1][1]) for place, found in enumerate(logged.values()) if cell in found]
        for cell in cells
    }
    table = numbers(f"{title}: the last values", "", last, lambda place: list(logged)[int(place)])
    return [Figure(key, title, caption, pictures, legend(cells), table)]
