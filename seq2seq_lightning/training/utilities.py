"""The utility of minimum Bayes risk by name: any metric of a sentence, of its tokens or of its text."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from seq2seq_lightning.decoding import DecodingConfig, MBRConfig, Utility
from seq2seq_lightning.errors import nearest
from seq2seq_lightning.metrics import METRICS, MetricsConfig, higher_is_better
from seq2seq_lightning.metrics.pairwise import pairwise
from seq2seq_lightning.metrics.sentence import SENTENCE_METRICS

Text = Callable[[int, Sequence[int]], str]
"""(a sentence's place in the batch, tokens written for it) → their text."""


def utility_problem(decoding: DecodingConfig, key: str) -> str | None:
    """What is wrong with the utility that a decoding names, if anything; key: where the decoding stands."""
    if not isinstance(decoding, MBRConfig) or decoding.utility in (*SENTENCE_METRICS, *METRICS):
        return None
    known = list(dict.fromkeys([*SENTENCE_METRICS, *METRICS]))
    return f"{key}.utility is {decoding.utility!r}, which is no metric. {nearest(decoding.utility, known)}"


def utility_of(decoding: DecodingConfig, text: Text, metrics: MetricsConfig) -> Utility | None:
    """What `mbr` compares outputs by; None for other searches. metrics: the settings of metrics of text."""
    if not isinstance(decoding, MBRConfig):
        return None
    name = decoding.utility
    if name in SENTENCE_METRICS:
        return lambda place, outputs: pairwise(name, outputs)
    return lambda place, outputs: _of_texts(name, [text(place, tokens) for tokens in outputs], metrics)


def _of_texts(name: str, texts: Sequence[str], metrics: MetricsConfig) -> NDArray[np.float64]:
    """(texts, texts): the score of the corpus that is one sentence, on a scale of 0 to 1, error rates negative."""
    metric, best, worst = METRICS[name], *((1.0, 0.0) if higher_is_better(name) else (0.0, -1.0))

    def utility(one: str, other: str) -> float:
        if not other.strip():  # which no metric takes as a reference: right or wrong altogether
            return worst if one.strip() else best
        value = metric.score([one], [(other,)], metrics).value / 100.0
        return value if higher_is_better(name) else -value

    return np.array([[utility(one, other) for other in texts] for one in texts], dtype=np.float64)
