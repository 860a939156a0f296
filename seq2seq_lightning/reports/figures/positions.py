"""Where in the target a model goes wrong, fed gold or its own tokens, and from where in the source it is right."""

from __future__ import annotations

from collections.abc import Sequence

from seq2seq_lightning.reports.figures.evidence import Evidence, TrainedCell
from seq2seq_lightning.reports.figures.figure import Figure, Overlay, Points, legend, mean, numbers, overlaid

# as `training.diagnostics` names the bins of its curves; a curve shows those that were logged
BINS = ("1", "2", "3", "4", "5", "6-10", "11-20", "21-50", "51+")
GOLD, OWN, SOURCE, QUARTER = "accuracy_at", "free_running_accuracy_at", "accuracy_at_source", "accuracy_at_quarter"
ACCURACY = "accuracy, %"
LAST = "Accuracies of the validation split at the end of training. "
SHADE = "Lines are means over seeds, the shade goes from the lowest to the highest run."


def exposure_bias(evidence: Evidence) -> list[Figure]:
    """Accuracy by target position fed gold tokens and fed its own, the gap between them, and between the losses."""
    gold, own = _last(evidence, GOLD), _last(evidence, OWN)
    if not gold or not own:
        return []
    gap = {cell: _differences(gold[cell], own[cell]) for cell in gold if cell in own}
    position = "position in the target"
    overlays = [
        Overlay("Fed gold tokens", position, ACCURACY, gold, _bins(gold)),
        Overlay("Fed its own tokens", position, ACCURACY, own, _bins(own)),
        Overlay("The gap between them", position, "points", gap, _bins(gap)),
        Overlay("The gap of the losses", "updates", "nats per label", _loss_gap(evidence)),
    ]
    caption = (
        LAST + "Fed its own tokens a model is compared with the label of the same position, so that one word too many "
        "makes all that follow wrong: the gap is exposure bias as far as it shows in accuracy. " + SHADE
    )
    return _figure("exposure-bias", "Exposure bias", caption, overlays, evidence, gap, "gap, points")


def source_positions(evidence: Evidence) -> list[Figure]:
    """Accuracy by the source position that attention weighs most, or by quarter of the target without attention."""
    source, quarter = _last(evidence, SOURCE), _last(evidence, QUARTER)
    overlays = [
        Overlay("By source position", "source position that attention weighs most", ACCURACY, source, _bins(source)),
        Overlay("By quarter of the target", "quarter, models without attention", ACCURACY, quarter, BINS[:4]),
    ]
    caption = (
        LAST + "Labels are counted by the source position that the attention weighs most when they are predicted; "
        "models without attention look at none in particular, and theirs by the quarter of the target. " + SHADE
    )
    return _figure("source-positions", "Accuracy by source position", caption, overlays, evidence, source, ACCURACY)


def _figure(
    key: str,
    title: str,
    caption: str,
    overlays: Sequence[Overlay],
    evidence: Evidence,
    told: dict[TrainedCell, Points],
    of: str,
) -> list[Figure]:
    pictures = overlaid(overlays, list(evidence.runs))
    if not pictures:
        return []
    table = numbers(f"{title}: {of}", "position", told, lambda place: BINS[int(place)]) if told else None
    return [Figure(key, title, caption, pictures, legend(list(evidence.runs)), table)]


def _bins(found: dict[TrainedCell, Points]) -> Sequence[str]:
    """The bins up to the last that any curve has."""
    return BINS[: 1 + int(max((place for points in found.values() for place, _ in points), default=0))]


def _last(evidence: Evidence, curve: str) -> dict[TrainedCell, Points]:
    """The last value of each bin that was logged, by the place of the bin."""
    found: dict[TrainedCell, Points] = {}
    for place, name in enumerate(BINS):
        for cell, points in evidence.means(f"val/{curve}/{name}").items():
            found.setdefault(cell, []).append((place, points[-1][1]))
    return found


def _differences(one: Points, other: Points) -> Points:
    """Of the means over runs, where both are known."""
    others = dict(other)
    return [(place, [mean(values) - mean(others[place])]) for place, values in one if place in others]


def _loss_gap(evidence: Evidence) -> dict[TrainedCell, Points]:
    gold, own = evidence.means("val/loss"), evidence.means("val/free_running_loss")
    return {cell: _differences(own[cell], gold[cell]) for cell in gold if cell in own}
