from __future__ import annotations

import random

import pytest

from seq2seq_lightning.errors import DataError
from seq2seq_lightning.metrics import MetricsConfig, score_corpus
from seq2seq_lightning.metrics.significance import TESTED, PairedKind, paired_test

CONFIG = MetricsConfig()
WORDS = ["a", "small", "red", "house", "stands", "near", "the", "old", "grey", "bridge", "over", "cold", "water"]


def sentence(seed: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=9))


REFERENCES = [(sentence(place),) for place in range(60)]
RIGHT = [each[0] for each in REFERENCES]


def spoilt(every: int) -> list[str]:
    """The references with the middle words of every so many sentences replaced."""
    return [
        text if place % every else " ".join([*text.split()[:3], "wrong", "words", *text.split()[5:]])
        for place, text in enumerate(RIGHT)
    ]


@pytest.mark.parametrize("name", TESTED)
@pytest.mark.parametrize("kind", PairedKind)
def test_the_difference_is_that_of_the_scores_and_a_large_one_is_clear(name: str, kind: PairedKind) -> None:
    first, second = spoilt(20), spoilt(2)
    tested = paired_test(kind, name, CONFIG, first, second, REFERENCES)
    scores = [score_corpus(CONFIG, texts, REFERENCES, [name])[name] for texts in (first, second)]
    assert tested.difference == pytest.approx(scores[0].value - scores[1].value)
    assert tested.signature == scores[0].signature
    assert tested.p < 0.01
    assert tested.low < tested.difference < tested.high
    assert (tested.low > 0) == (tested.difference > 0) and (tested.high > 0) == (tested.difference > 0)


def test_sides_can_be_exchanged_and_equal_sides_do_not_differ() -> None:
    one = paired_test(PairedKind.randomisation, "bleu", CONFIG, spoilt(3), spoilt(4), REFERENCES)
    other = paired_test(PairedKind.randomisation, "bleu", CONFIG, spoilt(4), spoilt(3), REFERENCES)
    assert one.difference == pytest.approx(-other.difference) and one.low == pytest.approx(-other.high)
    same = paired_test(PairedKind.randomisation, "bleu", CONFIG, RIGHT, RIGHT, REFERENCES)
    assert (same.difference, same.low, same.high) == (0.0, 0.0, 0.0)


def test_what_chance_alone_makes_is_rarely_clear() -> None:
    """Both sides are drawn alike: of 20 draws about one in twenty may fall below 5 %, never five."""
    clear = 0
    for seed in range(20):
        chance = random.Random(seed)
        sides = [[a if chance.random() < 0.5 else b for a, b in zip(RIGHT, spoilt(1), strict=True)] for _ in range(2)]
        clear += paired_test(PairedKind.bootstrap, "bleu", CONFIG, *sides, REFERENCES).p < 0.05
    assert clear < 5


def test_corpora_of_different_sizes_are_refused() -> None:
    with pytest.raises(DataError, match="59 hypotheses for 60 references"):
        paired_test(PairedKind.bootstrap, "bleu", CONFIG, RIGHT[:-1], RIGHT, REFERENCES)
