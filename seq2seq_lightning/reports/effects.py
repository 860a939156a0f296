"""Which factor mattered: the main effect of each level of each axis, paired by seed and by whatever else varies.

The effect of a level is the mean, over all combinations of the other factors, of its score minus the mean score of all
levels of its factor there; with one factor at a time it is the score minus that of the base. Only combinations and
seeds that have a score at every level count, so that nothing but the factor differs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from seq2seq_lightning.experiments.ablation import text
from seq2seq_lightning.experiments.ablation_config import AblationConfig, Design, columns
from seq2seq_lightning.experiments.ledger import TrialResult
from seq2seq_lightning.reports.frame import score
from seq2seq_lightning.reports.statistics import Interval, matched_interval, measured, summarise

ROW, DECODING = "row", "decoding"


@dataclass(frozen=True)
class Effect:
    """What one level of a factor does to one score; None where no combination has a score at every level."""

    factor: str
    level: Any
    test_set: str
    metric: str
    effect: float | None = None
    interval: Interval | None = None  # 95 %, over seeds; over settings where there is one seed; None for one of both
    over: str = ""  # what the interval is over: "3 seeds"
    is_base: bool = False  # one factor at a time: the level that the others are compared with


@dataclass(frozen=True)
class _Setting:
    """A trial's score with the level of every factor."""

    levels: dict[str, Any]
    seed: int
    score: float


def effects(config: AblationConfig, results: Sequence[TrialResult]) -> list[Effect]:
    """Every level of every factor for every score; empty where the table has one factor only, whose rows tell all."""
    factors = _factors(config)
    if len(factors) < 2:
        return []
    return [
        each
        for test_set, metric in columns(config)
        for factor, levels in factors.items()
        for each in _of_factor(config, factor, levels, _settings(results, test_set, metric), test_set, metric)
    ]


def effect_frame(found: Sequence[Effect]) -> pd.DataFrame:
    """The effects at full precision, one line each."""
    return pd.DataFrame(
        [
            {
                "factor": each.factor,
                "level": text(each.level),
                **measured(each.test_set, each.metric, "effect", each.effect, each.interval),
                "over": each.over,
            }
            for each in found
        ]
    )


def spread(found: Sequence[Effect]) -> dict[tuple[str, str, str], float]:
    """(factor, test set, metric) → the largest effect of its levels minus the smallest: how much the factor matters."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for each in found:
        if each.effect is not None:
            values.setdefault((each.factor, each.test_set, each.metric), []).append(each.effect)
    return {key: max(several) - min(several) for key, several in values.items()}


def _factors(config: AblationConfig) -> dict[str, list[Any]]:
    """Whatever has at least two levels: rows, axes, decodings."""
    factors = {
        ROW: [row.label for row in config.rows],
        **config.axes,
        DECODING: [decoding.label for decoding in config.decodings],
    }
    return {factor: levels for factor, levels in factors.items() if len(levels) > 1}


def _settings(results: Sequence[TrialResult], test_set: str, metric: str) -> list[_Setting]:
    found = []
    for result in results:
        seen = score(result, test_set, metric)
        if seen is not None and math.isfinite(seen.value):
            trial = result.trial
            levels = {ROW: trial.row_label, **trial.cell, DECODING: trial.decoding_label}
            found.append(_Setting(levels, trial.seed, seen.value))
    return found


def _of_factor(
    config: AblationConfig,
    factor: str,
    levels: Sequence[Any],
    settings: Sequence[_Setting],
    test_set: str,
    metric: str,
) -> Iterator[Effect]:
    along_axes = config.design is Design.one_factor and factor in config.axes
    base = levels[0] if along_axes else None
    blocks = _blocks(factor, settings)
    for level in levels:
        wanted = [base, level] if along_axes else levels
        by_seed: dict[int, list[float]] = {}
        for seed, scores in blocks:
            if all(_key(each) in scores for each in wanted):
                against = scores[_key(base)] if along_axes else math.fsum(scores.values()) / len(scores)
                by_seed.setdefault(seed, []).append(scores[_key(level)] - against)
        is_base = along_axes and level == base
        yield _effect(Effect(factor, level, test_set, metric, is_base=is_base), by_seed)


def _effect(empty: Effect, by_seed: dict[int, list[float]]) -> Effect:
    """Mean and interval over seeds, each the mean of its settings; of one seed, over its settings."""
    seeds = [math.fsum(values) / len(values) for values in by_seed.values()]
    if not seeds:
        return empty
    values, over = (seeds, f"{len(seeds)} seeds") if len(seeds) > 1 else (next(iter(by_seed.values())), "settings")
    own = summarise(values)
    assert own is not None
    if over == "settings":
        over = f"{own.n} setting{'s' * (own.n > 1)} of one seed"
    interval = None if empty.is_base else matched_interval(values)
    return Effect(empty.factor, empty.level, empty.test_set, empty.metric, own.mean, interval, over, empty.is_base)


def _blocks(factor: str, settings: Sequence[_Setting]) -> list[tuple[int, dict[str, float]]]:
    """(seed, level → score) of trials that differ in this factor alone."""
    found: dict[tuple[int, str], dict[str, float]] = {}
    for setting in settings:
        others = repr(sorted((key, repr(value)) for key, value in setting.levels.items() if key != factor))
        found.setdefault((setting.seed, others), {})[_key(setting.levels[factor])] = setting.score
    return [(seed, scores) for (seed, _), scores in found.items()]


def _key(level: Any) -> str:
    """True and 1 are two levels, and lists cannot be keys."""
    return repr(level)
