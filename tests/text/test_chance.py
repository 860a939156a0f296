"""Cuts by chance: the drawn ones have the probabilities of the formula, and a seed means the same in every process."""

from __future__ import annotations

import math
from collections import Counter
from random import Random

import pytest

from seq2seq_lightning.text.chance import drawn_cut, merged_by_chance

SCORES = {"a": -1.0, "b": -2.0, "c": -1.5, "ab": -1.2, "bc": -2.5, "abc": -3.0}
MERGES = {"a": 0.0, "b": 0.0, "c": 0.0, "ab": -2.0, "bc": -1.0, "abc": -3.0}


def every_cut(word: str) -> list[tuple[str, ...]]:
    if not word:
        return [()]
    ends = [end for end in range(1, len(word) + 1) if word[:end] in SCORES]
    return [(word[:end], *rest) for end in ends for rest in every_cut(word[end:])]


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_a_cut_is_drawn_in_proportion_to_its_probability_to_the_power(alpha: float) -> None:
    word, draws = "abcab", 4000
    weights = {cut: math.exp(alpha * sum(SCORES[piece] for piece in cut)) for cut in every_cut(word)}
    chance = Random(5)
    seen = Counter(tuple(drawn_cut(word, SCORES, alpha, 3, chance)) for _ in range(draws))
    assert seen.keys() <= weights.keys()
    for cut, weight in weights.items():
        share = weight / sum(weights.values())
        assert seen[cut] / draws == pytest.approx(share, abs=5 * math.sqrt(share * (1 - share) / draws))


def test_merges_by_hand() -> None:
    """Without dropout bc is merged first, then a joins it; with dropout of all nothing is merged."""
    assert merged_by_chance("abc", MERGES, 0.0, Random(1)) == ["abc"]
    assert merged_by_chance("abc", MERGES, 1.0, Random(1)) == ["a", "b", "c"]
    assert merged_by_chance("cab", MERGES, 0.0, Random(1)) == ["c", "ab"]
    seen = Counter(tuple(merged_by_chance("ab", MERGES, 0.3, chance)) for chance in [Random(2)] for _ in range(2000))
    assert seen["a", "b"] / 2000 == pytest.approx(0.3, abs=0.05)


def test_a_seed_cuts_alike_in_every_process() -> None:
    """What is written here was drawn by another process."""
    assert merged_by_chance("abcabc", MERGES, 0.5, Random(3)) == ["abc", "ab", "c"]
    assert drawn_cut("abcabc", SCORES, 0.5, 3, Random(3)) == ["ab", "c", "abc"]
