"""Paired tests of two lists of outputs for the same sentences, by sacrebleu: does one do better in BLEU, chrF or TER?

Approximate randomisation after Riezler and Maxwell (2005) and Clark et al. (2011), paired bootstrap after Koehn (2004,
W04-3250). Seeds are sacrebleu's, so the same outputs always give the same p. No torch here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.significance import PairedTest

from seq2seq_lightning.metrics.corpus import bleu_of, chrf_of, reference_streams, ter_of
from seq2seq_lightning.metrics.score import References, check_corpus
from seq2seq_lightning.metrics.scores import MetricsConfig

RESAMPLES = 1000

TESTED: dict[str, Callable[[MetricsConfig], BLEU | CHRF | TER]] = {
    "bleu": lambda config: bleu_of(config.bleu),
    "chrf": lambda config: chrf_of(config.chrf),
    "ter": lambda config: ter_of(config.ter),
}


class PairedKind(Enum):
    """Which test, by sacrebleu's name of it."""

    randomisation = "ar"  # the two outputs of a sentence change sides by chance, 10,000 times
    bootstrap = "bs"  # sentences are drawn with replacement, 1,000 times


@dataclass(frozen=True)
class Tested:
    """First minus second: the two-sided p, and a 95 % interval of 1,000 bootstrap samples of the sentences."""

    difference: float
    p: float
    low: float
    high: float
    signature: str  # of the metric alone, to be compared with that of stored scores


def paired_test(
    kind: PairedKind,
    name: str,
    config: MetricsConfig,
    first: Sequence[str],
    second: Sequence[str],
    references: References,
) -> Tested:
    """Test a metric of ``TESTED``."""
    check_corpus(first, references)
    check_corpus(second, references)
    streams: Any = reference_streams(references)  # sacrebleu's types do not tell that it takes None
    systems: list[tuple[str, Sequence[str]]] = [("second", list(second)), ("first", list(first))]
    _, found = PairedTest(systems, {name: TESTED[name](config)}, streams, test_type=kind.value, n_jobs=1)()
    (theirs, ours) = next(values for key, values in found.items() if key != "System")
    assert not isinstance(ours, str) and not isinstance(theirs, str) and ours.p_value is not None
    low, high = _interval(TESTED[name](config), first, second, streams)
    metric = TESTED[name](config)
    metric.corpus_score(list(first), streams)
    signature = str(metric.get_signature())
    return Tested(float(ours.score - theirs.score), float(ours.p_value), low, high, signature)


def _interval(
    metric: BLEU | CHRF | TER, first: Sequence[str], second: Sequence[str], streams: Any
) -> tuple[float, float]:
    """The middle 95 % of differences over sentences drawn with replacement: each draw is a row of counts."""
    random = np.random.default_rng(12345)
    count = len(first)
    draws = random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    scores = []
    for texts in (first, second):
        # sacrebleu gives no interval of a difference; this is how its own tests score samples
        statistics = np.array(metric._extract_corpus_statistics(list(texts), streams), dtype=np.float64)
        scores.append([metric._aggregate_and_compute(row[None]).score for row in draws @ statistics])
    low, high = np.quantile(np.array(scores[0]) - np.array(scores[1]), [0.025, 0.975])
    return float(low), float(high)
