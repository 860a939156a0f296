"""All pairs at once give what each pair gives."""

from __future__ import annotations

import random

import numpy as np
import pytest

from seq2seq_lightning.metrics.pairwise import PAIRWISE, every_pair, pairwise
from seq2seq_lightning.metrics.sentence import SENTENCE_METRICS


def outputs(seed: int, longest: int, symbols: int) -> list[list[int]]:
    draw = random.Random(seed)
    return [[draw.randrange(symbols) for _ in range(draw.randrange(longest + 1))] for _ in range(12)]


@pytest.mark.parametrize("name", SENTENCE_METRICS)
@pytest.mark.parametrize(("longest", "symbols"), [(3, 2), (9, 3), (30, 9), (0, 1)])
def test_all_pairs_give_what_each_pair_gives(name: str, longest: int, symbols: int) -> None:
    """Short and repetitive ones too, and empty ones among them."""
    for seed in range(5):
        found = outputs(seed, longest, symbols)
        expected = every_pair(SENTENCE_METRICS[name], found)
        np.testing.assert_allclose(pairwise(name, found), expected, rtol=0, atol=1e-12)
        assert not longest or len(np.unique(expected)) > 1


def test_tokens_of_any_kind_and_many_of_them() -> None:
    words = [[f"word{place * row}" for place in range(400)] for row in range(3)]
    for name in PAIRWISE:
        np.testing.assert_allclose(pairwise(name, words), every_pair(SENTENCE_METRICS[name], words), atol=1e-12)


def test_a_metric_without_a_fast_road_takes_the_slow_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SENTENCE_METRICS, "first", lambda one, other: float(one[:1] == other[:1]))
    assert pairwise("first", [[1, 2], [1], [3]]).tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 1]]
