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
