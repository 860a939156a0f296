"""Sums over sentences give what the corpus metrics give, of all sentences and of any selection of them."""

from __future__ import annotations

import random

import numpy as np
import pytest

from seq2seq_lightning.metrics import METRICS, BLEUConfig, MetricsConfig
from seq2seq_lightning.metrics.counts import RATIOS, counted

WORDS = "a b c d e f g".split()  # noqa: SIM905


def corpus(sentences: int = 40, references: int = 1) -> tuple[list[str], list[list[str]]]:
    dice = random.Random(references)
    meant = [
        [" ".join(dice.choices(WORDS, k=dice.randint(3, 12))) for _ in range(references)] for _ in range(sentences)
    ]
    said = [
        " ".join(word for word in each[0].split() if dice.random() < 0.8) if dice.random() < 0.7 else each[0]
        for each in meant
    ]
    return said, meant


@pytest.mark.parametrize("metric", [*RATIOS, "bleu"])
@pytest.mark.parametrize("references", [1, 2])
def test_sums_score_as_the_corpus_metric_does(metric: str, references: int) -> None:
    said, meant = corpus(references=references)
    config = MetricsConfig(bleu=BLEUConfig(tokenize="none", smooth_method="floor", smooth_value=0.2))
    found = counted(metric, said, meant, config)
    if references > 1 and metric not in ("exact_match", "bleu"):
        assert found is None  # the best of several references has no share of its own
        return
    assert found is not None
    assert found.score == pytest.approx(METRICS[metric].score(said, meant, config).value)
    rows = [0, 0, 3, 5, 8, 13, 21, 21, 34]
    told = METRICS[metric].score([said[row] for row in rows], [meant[row] for row in rows], config).value
    assert found.value(found.sums[rows].sum(axis=0)) == pytest.approx(told)
    assert found.value(np.bincount(rows, minlength=40) @ found.sums) == pytest.approx(told)


def test_metrics_that_tell_no_sums_have_none() -> None:
    said, meant = corpus()
    assert counted("chrf", said, meant) is None
    assert counted("wer", ["a"], [[""]]) is None
