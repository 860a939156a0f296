"""Scores of one sentence each, from 0 to 1, larger is better: what sequence objectives reward. No torch here.

A sentence is a sequence of tokens of any kind, compared as they are: nothing is joined, detokenised or tokenised anew.
So these numbers serve training; what is reported is scored on text, over the corpus (``metrics.corpus``,
``metrics.sequence``), and no mean of sentence scores equals it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Sequence

from rapidfuzz.distance import Levenshtein

Tokens = Sequence[Hashable]
SentenceMetric = Callable[[Tokens, Tokens], float]

ORDER = 4  # longest n-gram of BLEU and GLEU


def exact_match(hypothesis: Tokens, reference: Tokens) -> float:
    """1 for the reference itself, 0 for anything else."""
    return float(list(hypothesis) == list(reference))


def token_accuracy(hypothesis: Tokens, reference: Tokens) -> float:
    """The share of positions with the reference's token; positions that only one of the two has are wrong."""
    right = sum(one == other for one, other in zip(hypothesis, reference, strict=False))
    return _share(right, max(len(hypothesis), len(reference)))


def edit_similarity(hypothesis: Tokens, reference: Tokens) -> float:
    """1 - Levenshtein distance ÷ the longer length (Levenshtein 1966, normalised so that it cannot be negative)."""
    longest = max(len(hypothesis), len(reference))
    return 1.0 - Levenshtein.distance(list(hypothesis), list(reference)) / longest if longest else 1.0


def bleu(hypothesis: Tokens, reference: Tokens) -> float:
    """BLEU+1: BLEU with one added to matches and counts of each order above 1 (Lin and Och 2004, COLING, §4)."""
    if not hypothesis or not reference:
        return float(not hypothesis and not reference)
    log_precision = 0.0
    for order in range(1, ORDER + 1):
        added = int(order > 1)
        matched, said, _ = _matches(hypothesis, reference, order)
        if not matched + added:
            return 0.0
        log_precision += math.log((matched + added) / (said + added)) / ORDER
    return math.exp(log_precision + min(0.0, 1 - len(reference) / len(hypothesis)))


def gleu(hypothesis: Tokens, reference: Tokens) -> float:
    """GLEU: the smaller of precision and recall over all n-grams of orders 1 to 4 (Wu et al. 2016, §5)."""
    counts = [_matches(hypothesis, reference, order) for order in range(1, ORDER + 1)]
    matched, said, meant = (sum(count) for count in zip(*counts, strict=True))
    return _share(matched, max(said, meant))


SENTENCE_METRICS: dict[str, SentenceMetric] = {
    "exact_match": exact_match,
    "token_accuracy": token_accuracy,
    "edit_similarity": edit_similarity,
    "bleu": bleu,
    "gleu": gleu,
}


def _matches(hypothesis: Tokens, reference: Tokens, order: int) -> tuple[int, int, int]:
    """n-grams in both (clipped), in the hypothesis, in the reference."""
    said, meant = _ngrams(hypothesis, order), _ngrams(reference, order)
    return (said & meant).total(), said.total(), meant.total()


def _ngrams(tokens: Tokens, order: int) -> Counter[tuple[Hashable, ...]]:
    return Counter(zip(*(tokens[start:] for start in range(order)), strict=False))


def _share(part: int, whole: int) -> float:
    """Of nothing, everything is right: two empty sentences are equal."""
    return part / whole if whole else 1.0
