"""Every output of a sentence scored against every other at once: what minimum Bayes risk decoding asks of a metric.

The numbers are those of ``metrics.sentence``. The clipped n-gram matches of two sequences are the size of the
intersection of two sets, whose members are "the k-th occurrence of this n-gram"; so those of all pairs are one product
of matrices of zeros and ones. No torch here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

from seq2seq_lightning.metrics.sentence import ORDER, SENTENCE_METRICS, SentenceMetric, Tokens

Matrix = NDArray[np.float64]


def pairwise(name: str, outputs: Sequence[Tokens]) -> Matrix:
    """(outputs, outputs): the metric of output i where output j is the reference."""
    return PAIRWISE[name](outputs) if name in PAIRWISE else every_pair(SENTENCE_METRICS[name], outputs)


def every_pair(metric: SentenceMetric, outputs: Sequence[Tokens]) -> Matrix:
    """The definition, one pair after the other."""
    return np.array([[metric(one, other) for other in outputs] for one in outputs], dtype=np.float64)


def exact_match(outputs: Sequence[Tokens]) -> Matrix:
    """See ``metrics.sentence.exact_match``."""
    number: dict[tuple[Hashable, ...], int] = {}
    places = np.array([number.setdefault(tuple(output), len(number)) for output in outputs])
    return (places[:, None] == places).astype(np.float64)


def token_accuracy(outputs: Sequence[Tokens]) -> Matrix:
    """See ``metrics.sentence.token_accuracy``."""
    lengths, codes = _lengths(outputs), _codes(outputs)
    at_place = np.arange(codes.shape[1])
    both = at_place < np.minimum(lengths[:, None], lengths)[:, :, None]
    right = ((codes[:, None] == codes) & both).sum(2)
    return _shares(right, np.maximum(lengths[:, None], lengths))


def edit_similarity(outputs: Sequence[Tokens]) -> Matrix:
    """See ``metrics.sentence.edit_similarity``."""
    lengths, codes = _lengths(outputs), _codes(outputs)
    sequences = ["".join(map(chr, row[:length])) for row, length in zip(codes + 1, lengths, strict=True)]
    distances = cdist(sequences, sequences, scorer=Levenshtein.distance, dtype=np.int32)
    return 1.0 - _shares(distances, np.maximum(lengths[:, None], lengths), of_nothing=0.0)


def bleu(outputs: Sequence[Tokens]) -> Matrix:
    """See ``metrics.sentence.bleu``."""
    lengths = _lengths(outputs)
    log_precision, is_right = np.zeros((len(outputs), len(outputs))), np.ones((len(outputs), len(outputs)), dtype=bool)
    for order in range(1, ORDER + 1):
        added = int(order > 1)
        matched, said = _matches(outputs, order) + added, _ngram_counts(lengths, order)[:, None] + added
        is_right &= matched > 0
        log_precision += np.log(np.maximum(matched, 1) / np.maximum(said, 1)) / ORDER
    brevity = np.minimum(0.0, 1 - lengths / np.maximum(lengths, 1)[:, None])
    scores = np.where(is_right, np.exp(log_precision + brevity), 0.0)
    is_empty = lengths == 0
    return np.where(is_empty[:, None] | is_empty, (is_empty[:, None] & is_empty).astype(np.float64), scores)


def gleu(outputs: Sequence[Tokens]) -> Matrix:
    """See ``metrics.sentence.gleu``."""
    orders, lengths = range(1, ORDER + 1), _lengths(outputs)
    matched = sum((_matches(outputs, order) for order in orders), np.zeros((len(outputs), len(outputs)), dtype=int))
    counts = sum((_ngram_counts(lengths, order) for order in orders), np.zeros(len(outputs), dtype=int))
    return _shares(matched, np.maximum(counts[:, None], counts))


PAIRWISE: dict[str, Callable[[Sequence[Tokens]], Matrix]] = {
    "exact_match": exact_match,
    "token_accuracy": token_accuracy,
    "edit_similarity": edit_similarity,
    "bleu": bleu,
    "gleu": gleu,
}


def _matches(outputs: Sequence[Tokens], order: int) -> NDArray[np.int64]:
    """(outputs, outputs): n-grams of this order in both, clipped."""
    columns: dict[tuple[object, ...], int] = {}
    rows, places = [], []
    for row, output in enumerate(outputs):
        seen: Counter[tuple[Hashable, ...]] = Counter()
        for ngram in zip(*(output[start:] for start in range(order)), strict=False):
            seen[ngram] += 1
            rows.append(row)
            places.append(columns.setdefault((ngram, seen[ngram]), len(columns)))
    members = np.zeros((len(outputs), len(columns)), dtype=np.float32)  # exact up to 2^24 n-grams
    members[rows, places] = 1.0
    return np.rint(members @ members.T).astype(np.int64)


def _ngram_counts(lengths: NDArray[np.int64], order: int) -> NDArray[np.int64]:
    return np.maximum(lengths - order + 1, 0)


def _lengths(outputs: Sequence[Tokens]) -> NDArray[np.int64]:
    return np.array([len(output) for output in outputs], dtype=np.int64)


def _codes(outputs: Sequence[Tokens]) -> NDArray[np.int64]:
    """Tokens numbered in order of appearance: (outputs, longest), 0 behind the end."""
    number: dict[Hashable, int] = {}
    codes = np.zeros((len(outputs), max(map(len, outputs), default=0)), dtype=np.int64)
    for row, output in enumerate(outputs):
        codes[row, : len(output)] = [number.setdefault(token, len(number)) for token in output]
    return codes


def _shares(part: NDArray[np.int64], whole: NDArray[np.int64], of_nothing: float = 1.0) -> Matrix:
    return np.where(whole > 0, part / np.maximum(whole, 1), of_nothing)
