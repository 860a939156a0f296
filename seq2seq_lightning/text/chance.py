"""Cutting a word into known pieces by chance: merges dropped, or a cut drawn among all.

Written here because sentencepiece draws from a generator that is salted anew in every process: there the same seed cuts
otherwise after a resume, or in another worker. Here a cut is a function of word, pieces and seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from random import Random


def merged_by_chance(word: str, scores: Mapping[str, float], dropout: float, chance: Random) -> list[str]:
    """Byte-pair merges of a word, each possible merge left out with this probability at every step.

    Provilkov et al. 2020, arXiv 1910.13267, algorithm 1: what is left is merged best score first, the leftmost of equal
    ones, until nothing is left. scores: of the pieces, the earlier learnt the higher.
    """
    parts = list(word)
    while len(parts) > 1:
        pairs = [left + right for left, right in pairwise(parts)]
        left = [place for place, pair in enumerate(pairs) if pair in scores and chance.random() >= dropout]
        if not left:
            break
        best = max(left, key=lambda place: (scores[pairs[place]], -place))
        parts[best : best + 2] = [pairs[best]]
    return parts


def drawn_cut(word: str, scores: Mapping[str, float], alpha: float, longest: int, chance: Random) -> list[str]:
    """One of all cuts of a word, with a probability in proportion to p(cut)^alpha.

    Kudo 2018, arXiv 1804.10959, eq. 6 over all cuts: sums from the left, then a draw from the right. scores:
    log-probabilities of the pieces, among them every character of the word; longest: characters of the longest piece.
    """
    ways: list[list[tuple[int, float]]] = [[]]  # into each place: where the last piece begins, log weight of all before
    totals = [0.0]
    for end in range(1, len(word) + 1):
        starts = [start for start in range(max(0, end - longest), end) if word[start:end] in scores]
        weights = [totals[start] + alpha * scores[word[start:end]] for start in starts]
        most = max(weights)
        totals.append(most + math.log(math.fsum(math.exp(weight - most) for weight in weights)))
        ways.append(list(zip(starts, weights, strict=True)))
    pieces, end = [], len(word)
    while end:
        shares = [math.exp(weight - totals[end]) for _, weight in ways[end]]
        start = chance.choices([start for start, _ in ways[end]], shares)[0]
        pieces.append(word[start:end])
        end = start
    return pieces[::-1]
