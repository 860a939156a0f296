"""The rule of an ablation applied to its runs: criteria, and one honest verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from seq2seq_lightning.experiments.ablation_config import (
    AblationConfig,
    Cell,
    CriterionConfig,
    Statistic,
    published,
    selects,
)
from seq2seq_lightning.experiments.ledger import State, TrialResult
from seq2seq_lightning.reports.frame import score, value, wanted
from seq2seq_lightning.reports.statistics import PROPORTIONS, rank_correlation, standard_error, summarise, tolerance


class Verdict(Enum):
    """What may be said of a table."""

    reproduced = "reproduced"
    reproduced_light = "reproduced (light protocol)"
    not_reproduced = "not reproduced"
    met = "criteria met"  # of a table that nobody published: there is nothing to reproduce
    not_met = "criteria not met"
    not_trained = "not trained"
    incomplete = "incomplete"


@dataclass(frozen=True)
class CriterionResult:
    """One line of the rule: what was seen, what was asked, whether it holds (None: no run to judge by)."""

    criterion: CriterionConfig
    seen: float | None
    bound: str
    passed: bool | None

    @property
    def label(self) -> str:
        """Its own label, or what it looks at."""
        return self.criterion.label or f"{self.criterion.statistic.value} {self.criterion.metric}"

    @property
    def outcome(self) -> str:
        """One word for the table."""
        return {True: "pass", False: "fail", None: "open"}[self.passed]


@dataclass(frozen=True)
class Assessment:
    """The verdict (None: the ablation states no rule), why, and the criteria behind it."""

    verdict: Verdict | None
    reasons: list[str]
    criteria: list[CriterionResult]


def assess(config: AblationConfig, results: Sequence[TrialResult]) -> Assessment:
    """Judge a table: incomplete before not trained, not trained before the criteria, all of which must hold."""
    criteria = [evaluate(config, criterion, results) for criterion in config.criteria]
    missing = [reason for result in results if (reason := _lacks(config, result))]
    if missing or not results:
        return Assessment(Verdict.incomplete, missing or ["no trials"], criteria)
    untrained = [reason for result in results if (reason := _untrained(config, result))]
    if untrained:
        return Assessment(Verdict.not_trained, untrained, criteria)
    compared = _is_published(config)
    failed = [f"{item.label}: {number(item.seen)}, not {item.bound}" for item in criteria if not item.passed]
    if failed:
        return Assessment(Verdict.not_reproduced if compared else Verdict.not_met, failed, criteria)
    if not criteria:
        return Assessment(None, [], criteria)
    reproduced = Verdict.reproduced_light if config.light else Verdict.reproduced
    return Assessment(reproduced if compared else Verdict.met, [], criteria)


def evaluate(config: AblationConfig, criterion: CriterionConfig, results: Sequence[TrialResult]) -> CriterionResult:
    """One criterion over the runs it selects, with what is there by now."""
    test_set = criterion.test_set or config.test_sets[0]
    chosen = _select(config, results, criterion.row, criterion.where, criterion.decoding)
    seen = _statistic(config, criterion, chosen, test_set)
    against: list[TrialResult] = []
    if criterion.subtracts:
        against = _select(
            config,
            results,
            criterion.minus or criterion.row,
            criterion.minus_where or criterion.where,
            criterion.minus_decoding or criterion.decoding,
        )
        other = _statistic(config, criterion, against, test_set)
        seen = seen - other if seen is not None and other is not None else None
    low, high, words = _bounds(config, criterion, chosen, against, test_set)
    passed = None if seen is None else bool(low <= seen <= high)
    return CriterionResult(criterion, seen, words, passed)


def concerns(config: AblationConfig, criterion: CriterionConfig, cell: Cell) -> bool:
    """Does this criterion speak of this cell alone, without subtracting another or comparing it with others?"""
    if criterion.subtracts or criterion.statistic is Statistic.spearman:
        return False
    return selects(config, cell, criterion.row, criterion.where, criterion.decoding)


def number(seen: float | None) -> str:
    """A score for people: two decimals, a dash where there is none."""
    return "–" if seen is None else f"{seen:.2f}"


def _is_published(config: AblationConfig) -> bool:
    """Does the table hold a number of somebody else's for the same data?"""
    if config.analogue:
        return False
    return any(row.published for row in config.rows) or any(cell.published for cell in config.published_cells)


def _select(
    config: AblationConfig,
    results: Sequence[TrialResult],
    row: str | None,
    where: dict[str, Any],
    decoding: str | None,
) -> list[TrialResult]:
    return [result for result in results if selects(config, result.trial.place, row, where, decoding)]


def _values(results: Sequence[TrialResult], test_set: str, metric: str) -> list[float]:
    found = [score(result, test_set, metric) for result in results]
    return [item.value for item in found if item is not None]


def _statistic(
    config: AblationConfig, criterion: CriterionConfig, results: Sequence[TrialResult], test_set: str
) -> float | None:
    values = _values(results, test_set, criterion.metric)
    if not values:
        return None
    if any(math.isnan(item) for item in values):  # max and min would depend on the order
        return math.nan
    if criterion.statistic is Statistic.mean:
        return math.fsum(values) / len(values)
    if criterion.statistic is Statistic.spearman:
        return _order(config, criterion, results, test_set)
    return max(values) if criterion.statistic is Statistic.max else min(values)


def _order(
    config: AblationConfig, criterion: CriterionConfig, results: Sequence[TrialResult], test_set: str
) -> float | None:
    """The rank correlation of our means with the published values; None before three cells have runs."""
    pairs = []
    for cell in dict.fromkeys(result.trial.place for result in results):
        own = [result for result in results if result.trial.place == cell]
        seen = summarise(_values(own, test_set, criterion.metric))
        target = published(config, cell, test_set, criterion.metric)
        if seen is not None and target is not None:
            pairs.append((seen.mean, target.value))
    return rank_correlation(pairs) if len(pairs) > 2 else None


def _bounds(
    config: AblationConfig,
    criterion: CriterionConfig,
    results: Sequence[TrialResult],
    against: Sequence[TrialResult],
    test_set: str,
) -> tuple[float, float, str]:
    """(least, most, both in words); ``within`` becomes an interval around the published value."""
    low, high, words = -math.inf, math.inf, []
    if criterion.at_least is not None:
        low, words = criterion.at_least, [f"≥ {criterion.at_least:g}"]
    if criterion.at_most is not None:
        high, words = criterion.at_most, [*words, f"≤ {criterion.at_most:g}"]
    if criterion.within is not None:
        middle, margin = _interval(config, criterion, criterion.within, results, test_set)
        low, high = max(low, middle - margin), min(high, middle + margin)
        words.append(f"{middle:g} ± {margin:.2f} = max(2 SE, {criterion.within:g})")
    if criterion.clear_by is not None:
        least = criterion.clear_by * _error(criterion, results, against, test_set)
        low = max(low, math.nextafter(least, math.inf))  # zero is no difference, however little the runs vary
        words.append(f"> {least:.2f} = {criterion.clear_by:g} SE")
    return low, high, " and ".join(words)


def _error(
    criterion: CriterionConfig, results: Sequence[TrialResult], against: Sequence[TrialResult], test_set: str
) -> float:
    """The standard error of a difference of means of two selections, their runs taken as independent."""
    sides = [summarise(_values(side, test_set, criterion.metric)) for side in (results, against)]
    if sides[0] is None or sides[1] is None:
        return 0.0
    return standard_error(sides[0], sides[1].sd, sides[1].n, _sentences(criterion, results, test_set))


def _sentences(criterion: CriterionConfig, results: Sequence[TrialResult], test_set: str) -> int | None:
    """How many a share of sentences is of; None for other scores."""
    found = [item for result in results if (item := score(result, test_set, criterion.metric)) is not None]
    return found[0].n if found and criterion.metric in PROPORTIONS else None


def _interval(
    config: AblationConfig, criterion: CriterionConfig, margin: float, results: Sequence[TrialResult], test_set: str
) -> tuple[float, float]:
    target = published(config, results[0].trial.place, test_set, criterion.metric) if results else None
    assert target is not None, "ablation_rules.check lets `within` through only with a published value"
    own = summarise(_values(results, test_set, criterion.metric))
    if own is None:
        return target.value, margin
    sentences = _sentences(criterion, results, test_set)
    return target.value, tolerance(standard_error(own, target.spread, target.n, sentences), margin)


def _lacks(config: AblationConfig, result: TrialResult) -> str | None:
    if result.state is not State.finished:
        return f"{result.trial}: {result.state.value}" + (f" ({_first_line(result.problem)})" if result.problem else "")
    absent = [f"{test_set}/{metric}" for test_set, metric in wanted(config) if score(result, test_set, metric) is None]
    return f"{result.trial}: not scored ({', '.join(absent)})" if absent else None


def _untrained(config: AblationConfig, result: TrialResult) -> str | None:
    if config.trained is None or result.trial.row_label in config.trained.but:
        return None
    seen = value(result, config.trained.test_set, config.trained.metric)
    if seen >= config.trained.at_least:
        return None
    name = f"{config.trained.test_set}/{config.trained.metric}"
    return f"{result.trial}: {name} {number(seen)}, not ≥ {config.trained.at_least:g}"


def _first_line(problem: str) -> str:
    return problem.strip().splitlines()[0] if problem.strip() else "no message"
