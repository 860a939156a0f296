"""Corpus scores as sums over sentences, so that other selections of the sentences can be scored without a new count.

Exact match, token accuracy and error rates are ratios of two sums; BLEU is a function of its n-gram counts and lengths
(Papineni et al. 2002), which sacrebleu tells per sentence. chrF and TER are not offered: nothing public tells theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
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


def value_of(metric: str, config: MetricsConfig) -> Callable[[np.ndarray], float] | None:
    """The score of sums over sentences, where a metric is one."""
    if metric == "bleu":
        return partial(_bleu_value, config)
    return _ratio if metric in RATIOS else None


def _ratio(sums: np.ndarray) -> float:
    return float(100 * sums[0] / sums[1])


def _bleu(hypotheses: Sequence[str], references: References, config: MetricsConfig) -> Counted:
    own = config.bleu
    metric = BLEU(own.lowercase, force=True, tokenize=own.tokenize, effective_order=True, **_smoothing(config))
    found = [metric.sentence_score(text, list(each)) for text, each in zip(hypotheses, references, strict=True)]
    sums = np.array([[*each.counts, *each.totals, each.sys_len, each.ref_len] for each in found]).reshape(-1, 10)

    return Counted(sums, partial(_bleu_value, config))


def _bleu_value(config: MetricsConfig, total: np.ndarray) -> float:
    plain = [int(each) for each in total]
    return float(BLEU.compute_bleu(plain[:4], plain[4:8], plain[8], plain[9], **_smoothing(config)).score)


def _smoothing(config: MetricsConfig) -> dict[str, Any]:
    return {"smooth_method": config.bleu.smooth_method, "smooth_value": config.bleu.smooth_value}
