"""Bootstrap intervals of scores of some sentences: sentences and runs are drawn again, with replacement.

Efron and Tibshirani 1993, ch. 13 (percentiles). The runs of a cell have the same test set, so one draw of sentences is
scored for all of them, and then the runs that are averaged are drawn. Sums over sentences decide a score, so a draw is
a product of counts and per-sentence sums.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seq2seq_lightning.metrics.counts import Counted

DRAWS = 500
LEVEL = 95.0


def interval(runs: Sequence[Counted], sentences: Sequence[int], seed: int = 0) -> tuple[float, float] | None:
    """The interval of the mean score of runs over these sentences; None where one sentence of one run is all."""
    if len(sentences) * len(runs) < 2:
        return None
    dice = np.random.default_rng([seed, len(sentences)])
    weights = dice.multinomial(len(sentences), np.full(len(sentences), 1 / len(sentences)), size=DRAWS)
    values = np.array([[run.value(sums) for sums in weights @ run.sums[list(sentences)]] for run in runs])
    return _percentiles(_drawn_runs(values, dice))


def interval_over_runs(values: Sequence[float], seed: int = 0) -> tuple[float, float] | None:
    """The interval of the mean of what runs scored, where sentences are not known; None for fewer than three."""
    if len(values) < 3:
        return None
    dice = np.random.default_rng([seed, len(values)])
    return _percentiles(_drawn_runs(np.repeat(np.array(values)[:, None], DRAWS, axis=1), dice))


def _drawn_runs(values: np.ndarray, dice: np.random.Generator) -> np.ndarray:
    """values: (runs, draws) → (draws,), each the mean of as many runs, drawn again."""
    runs, draws = values.shape
    chosen = dice.integers(runs, size=(runs, draws))
    return values[chosen, np.arange(draws)].mean(axis=0)


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    low, high = np.nanpercentile(values, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return float(low), float(high)
