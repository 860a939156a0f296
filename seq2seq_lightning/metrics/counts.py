"""Corpus scores as sums over sentences, so that other selections of the sentences can be scored without a new count.

Exact match, token accuracy and error rates are ratios of two sums; BLEU is a function of its n-gram counts and lengths
(Papineni et al. 2002), which sacrebleu tells per sentence. chrF and TER are not offered: nothing public tells theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sacrebleu.metrics import BLEU

from seq2seq_lightning.metrics.score import References
from seq2seq_lightning.metrics.scores import METRICS, MetricsConfig

RATIOS = ("exact_match", "token_accuracy", "wer", "per", "cer")


@dataclass(frozen=True)
class Counted:
    """Per sentence what is summed, (sentences, kinds), and the score of such a sum."""

    sums: np.ndarray
    value: Callable[[np.ndarray], float]

    @property
    def score(self) -> float:
        """Of all sentences: what the corpus metric gives."""
        return self.value(self.sums.sum(axis=0))


def counted(
    metric: str, hypotheses: Sequence[str], references: References, config: MetricsConfig | None = None
) -> Counted | None:
    """What a metric counts in each sentence; None for those that tell no sums, and for sentences they cannot count."""
    config = config or MetricsConfig()
    if metric == "bleu":
        return _bleu(hypotheses, references, config)
    if metric not in RATIOS or (metric != "exact_match" and any(len(each) != 1 for each in references)):
        return None
    units: Callable[[str], int] = {"exact_match": lambda _: 1, "cer": lambda text: len(" ".join(text.split()))}.get(
        metric, lambda text: len(text.split())
    )
    sizes = [units(each[0]) for each in references]
    if not all(sizes):
        return None  # an empty reference has no share of its own
    score = METRICS[metric].score
    shares = [score([text], [each], config).value / 100 for text, each in zip(hypotheses, references, strict=True)]
    sums = np.array([[share * size, size] for share, size in zip(shares, sizes, strict=True)]).reshape(-1, 2)
    return Counted(sums, _ratio)


def _ratio(sums: np.ndarray) -> float:
    return float(100 * sums[0] / sums[1])


def _bleu(hypotheses: Sequence[str], references: References, config: MetricsConfig) -> Counted:
    own = config.bleu
    options: dict[str, Any] = {"smooth_method": own.smooth_method, "smooth_value": own.smooth_value}
    metric = BLEU(own.lowercase, force=True, tokenize=own.tokenize, effective_order=True, **options)
    found = [metric.sentence_score(text, list(each)) for text, each in zip(hypotheses, references, strict=True)]
    sums = np.array([[*each.counts, *each.totals, each.sys_len, each.ref_len] for each in found]).reshape(-1, 10)

    def value(total: np.ndarray) -> float:
        plain = [int(each) for each in total]
        return float(BLEU.compute_bleu(plain[:4], plain[4:8], plain[8], plain[9], **options).score)

    return Counted(sums, value)
