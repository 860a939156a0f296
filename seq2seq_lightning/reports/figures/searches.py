"""What other settings of a search make of the same models: beam width, length penalty, and coverage beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from seq2seq_lightning.reports.figures.drawing import HeatMap
from seq2seq_lightning.reports.figures.evidence import Evidence, TrainedCell
from seq2seq_lightning.reports.figures.figure import Figure, Overlay, Picture, Points, legend, mapped, mean, overlaid
from seq2seq_lightning.reports.figures.figure import numbers as table_of

MOST_MAPS = 6
Setting = dict[str, Any]
Scored = dict[TrainedCell, list[tuple[Setting, list[float]]]]  # per cell: a search → the scores of its runs


def beam_widths(evidence: Evidence) -> list[Figure]:
    """Score by beam width, with every other setting of the search kept."""
    caption = "Beam search over the same trained models; only the width differs. " + SHADE
    return _curves(evidence, "beam-width", "Beam width", caption, "beam_width")


def length_penalties(evidence: Evidence) -> list[Figure]:
    """Score by α, with every other setting of the search kept."""
    caption = "Beam search over the same trained models; only α differs, the exponent of the length penalty. " + SHADE
    return _curves(evidence, "length-penalty", "Length penalty", caption, "alpha")


def penalty_grids(evidence: Evidence) -> list[Figure]:
    """Heat maps of α × β, one for each cell with several of both."""
    pictures: list[Picture] = []
    for test_set, metric in _columns(evidence):
        for cell, scored in _scored(evidence, test_set, metric).items():
            for words, values in _varying(scored, ("alpha", "beta")).items():
                pictures += _grid(f"{cell.label}: {metric}{words}", values)
    if not pictures:
        return []
    caption = "Scores by the length penalty's α and the coverage penalty's β, means over seeds; dark is high."
    if len(pictures) > MOST_MAPS:
        caption += f" The first {MOST_MAPS} of {len(pictures)}."
    return [Figure("penalties", "α × β", caption, pictures[:MOST_MAPS])]


SHADE = "Lines are means over seeds, the shade goes from the lowest to the highest run."


def _curves(evidence: Evidence, key: str, title: str, caption: str, option: str) -> list[Figure]:
    overlays, told = [], None
    for test_set, metric in _columns(evidence):
        by_rest: dict[str, dict[TrainedCell, Points]] = {}
        for cell, scored in _scored(evidence, test_set, metric).items():
            for words, values in _varying(scored, (option,)).items():
                if len(values) > 1:
                    by_rest.setdefault(words, {})[cell] = sorted((own[0], each) for own, each in values.items())
        for words, points in by_rest.items():
            overlays.append(Overlay(f"{test_set}/{metric}{words}", option.replace("_", " "), "", points))
            told = told or table_of(f"{title}: {test_set}/{metric}{words}", option, points)
    pictures = overlaid(overlays, list(evidence.runs))
    return [Figure(key, title, caption, pictures, legend(list(evidence.runs)), told)] if pictures else []


def _columns(evidence: Evidence) -> list[tuple[str, str]]:
    config = evidence.config
    return [(test_set, metric) for test_set in config.test_sets for metric in config.metrics]


def _scored(evidence: Evidence, test_set: str, metric: str) -> Scored:
    """Every search of the cells that has settings, with the scores of the runs that were searched so."""
    found: Scored = {}
    for cell, runs in evidence.runs.items():
        by_setting: dict[str, list[float]] = {}
        for decoding in (decoding for run in runs for decoding in run.decodings):
            scores = decoding.scores
            if scores.test_set == test_set and metric in scores.scores and not scores.checkpoint.get("ensemble_with"):
                by_setting.setdefault(_spelt(scores.decoding), []).append(scores.scores[metric].value)
        if by_setting:
            found[cell] = [(json.loads(setting), values) for setting, values in by_setting.items()]
    return found


def _spelt(setting: Mapping[str, Any]) -> str:
    """A search in one form: no exponent is an exponent of zero, and how many outputs are told changes no score."""
    plain = {name: value for name, value in setting.items() if name not in ("n_best", "batch_size")}
    if plain.get("name") == "beam":
        plain["alpha"] = plain.get("alpha") or 0.0
        plain["beta"] = plain.get("beta") or 0.0
    return json.dumps(plain, sort_keys=True)


def _varying(
    scored: list[tuple[Setting, list[float]]], options: tuple[str, ...]
) -> dict[str, dict[tuple[float, ...], list[float]]]:
    """Scores by the values of these options, for each setting of all others; what those are, where they matter.

    A search without length penalty is the one with α = 0 of every penalty.
    """
    penalties = {setting.get("length_penalty") for setting, _ in scored} - {None, "none"}
    found: dict[str, dict[tuple[float, ...], list[float]]] = {}
    for setting, values in scored:
        if not all(isinstance(setting.get(option), int | float) for option in options):
            continue
        is_free = "alpha" in options and setting.get("length_penalty") == "none" and penalties
        for penalty in sorted(penalties, key=str) if is_free else [setting.get("length_penalty")]:
            rest = {key: value for key, value in setting.items() if key not in options} | {"length_penalty": penalty}
            found.setdefault(json.dumps(rest, sort_keys=True), {})[tuple(setting[each] for each in options)] = values
    several = {rest: values for rest, values in found.items() if len(values) > 1}
    return {
        _difference(json.loads(rest), [json.loads(each) for each in several]): each for rest, each in several.items()
    }


def _difference(setting: Setting, among: list[Setting]) -> str:
    """In what a setting differs from the others that are shown: words for a title, none where there is no other."""
    keys = [key for key in setting if any(other.get(key) != setting[key] for other in among)]
    return "".join(f", {key.replace('_', ' ')} {setting[key]}" for key in keys)


def _grid(title: str, values: dict[tuple[float, ...], list[float]]) -> list[Picture]:
    alphas, betas = (sorted({place[side] for place in values}) for side in (0, 1))
    if len(alphas) < 2 or len(betas) < 2:
        return []
    shades = [
        [mean(values[alpha, beta]) if (alpha, beta) in values else float("nan") for alpha in alphas] for beta in betas
    ]
    names = [f"{alpha:g}" for alpha in alphas], [f"{beta:g}" for beta in betas]
    return [mapped(HeatMap(title, "α, length penalty", "β, coverage", *names, shades, written=len(alphas) <= 8))]
