"""Means over seeds, their errors, and when an own mean counts as a published value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import scipy  # its parts are loaded when they are first used

PROPORTIONS = ("exact_match",)  # percentages of sentences: the test set alone has a binomial error


@dataclass(frozen=True)
class Summary:
    """Mean, standard deviation with n - 1 (None for one run), and the number of runs."""

    mean: float
    sd: float | None
    n: int


def summarise(values: Sequence[float]) -> Summary | None:
    """The summary of one cell of a table; None without runs."""
    n = len(values)
    if not n:
        return None
    mean = math.fsum(values) / n
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1)) if n > 1 else None
    return Summary(mean, sd, n)


def binomial_error(percentage: float, sentences: int) -> float:
    """Standard error, in points, of a percentage of so many sentences."""
    share = min(max(percentage / 100, 0.0), 1.0)
    return 100 * math.sqrt(share * (1 - share) / sentences)


def standard_error(
    own: Summary, published_sd: float | None, published_n: int | None, sentences: int | None = None
) -> float:
    """Standard error of (own mean - published mean): sqrt(s²/n + s_p²/n_p).

    What the publication does not state is taken from our own runs: s_p = s, n_p = n. With one own run the binomial
    error of the test set is added in quadrature, where ``sentences`` says the score is a share of them.
    """
    sd = own.sd or 0.0
    other_sd = sd if published_sd is None else published_sd
    other_n = own.n if published_n is None else published_n
    variance = sd**2 / own.n + other_sd**2 / other_n
    if own.n == 1 and sentences:
        variance += binomial_error(own.mean, sentences) ** 2
    return math.sqrt(variance)


def tolerance(error: float, margin: float) -> float:
    """How far an own mean may lie from the published value: max(2 standard errors, d)."""
    return max(2 * error, margin)


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Spearman's: 1 where both sides order the cells alike. NaN where one side is constant."""
    ours, theirs = zip(*pairs, strict=True)
    if len(set(ours)) == 1 or len(set(theirs)) == 1:
        return math.nan
    return float(scipy.stats.spearmanr(ours, theirs).statistic)


@dataclass(frozen=True)
class Interval:
    """Of 95 %."""

    low: float
    high: float


def measured(
    test_set: str, metric: str, name: str, value: float | None, interval: Interval | None
) -> dict[str, str | float | None]:
    """The columns of a file that say of which score something was measured, and what came out."""
    low, high = (interval.low, interval.high) if interval else (None, None)
    return {"test_set": test_set, "metric": metric, name: value, "low": low, "high": high}


def matched_interval(differences: Sequence[float]) -> Interval | None:
    """Student's interval of the mean of matched differences; None for fewer than two."""
    own = summarise(differences)
    if own is None or own.sd is None:
        return None
    margin = float(scipy.stats.t.ppf(0.975, own.n - 1)) * own.sd / math.sqrt(own.n)
    return Interval(own.mean - margin, own.mean + margin)


def matched_p(differences: Sequence[float], ranks: bool = False) -> float | None:
    """Two-sided p of matched differences: Student's t, or Wilcoxon's signed ranks; None where a number is missing.

    Differences that are all alike leave Student's t nothing to divide by: 1 where they are zero, 0 elsewhere.
    """
    if len(differences) < 2 or not all(math.isfinite(each) for each in differences):
        return None
    if not any(differences):
        return 1.0
    if ranks:
        return float(scipy.stats.wilcoxon(differences).pvalue)
    if len(set(differences)) == 1:
        return 0.0
    return float(scipy.stats.ttest_1samp(differences, 0.0).pvalue)


def holm(ps: Sequence[float]) -> list[float]:
    """Holm's (1979) step-down correction: p times the number of those that are not smaller, never falling."""
    corrected, largest = [0.0] * len(ps), 0.0
    for rank, place in enumerate(sorted(range(len(ps)), key=lambda place: ps[place])):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[place]))
        corrected[place] = largest
    return corrected


def more_seeds(differences: Sequence[float], power: float = 0.8, most: int = 10_000) -> int | None:
    """How many more matched differences like these a two-sided t at 5 % needs for this power.

    0 where they decide already, None where `most` would not do.
    """
    own, p = summarise(differences), matched_p(differences)
    if own is None or p is None or p < 0.05:
        return 0 if p is not None else None
    if not own.sd or own.mean == 0:
        return None
    effect = abs(own.mean) / own.sd
    if _power(effect, most) < power:
        return None
    low, high = own.n, most  # the power at high is enough, at low it is not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _power(effect, middle) >= power else (middle, high)
    return high - own.n


def _power(effect: float, n: int) -> float:
    """Of a two-sided one-sample t at 5 %; effect: mean ÷ standard deviation."""
    critical = scipy.stats.t.ppf(0.975, n - 1)
    return float(scipy.stats.nct.sf(critical, n - 1, effect * math.sqrt(n)))
