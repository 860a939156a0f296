"""What an n-best list holds, worked by hand."""

from __future__ import annotations

import pytest

from seq2seq_lightning.metrics import METRICS, MetricsConfig
from seq2seq_lightning.metrics.n_best import distinct, list_scores, oracle


def test_distinct_counts_over_the_whole_list() -> None:
    """a b a | a b: five words, two different; pairs ab ba ab: three, two different; no triple but one."""
    outputs = [["a", "b", "a"], ["a", "b"]]
    assert distinct(outputs, 1) == pytest.approx(2 / 5)
    assert distinct(outputs, 2) == pytest.approx(2 / 3)
    assert distinct(outputs, 3) == 1.0
    assert distinct(outputs, 4) is None
    assert distinct([], 1) is None


def test_the_oracle_takes_the_best_of_each_list() -> None:
    """The second of the first list is right, none of the second: 50 %; their word errors are 0 and 1 of 2 + 2 words."""
    n_best, references = [["b", "a b"], ["c c", "c d"]], [("a b",), ("d d",)]
    assert oracle("exact_match", n_best, references, MetricsConfig()).value == 50.0
    assert oracle("wer", n_best, references, MetricsConfig()).value == 25.0


@pytest.mark.parametrize("name", METRICS)
def test_the_oracle_of_one_hypothesis_is_the_score(name: str) -> None:
    texts = ["I_WALK I_RUN", "I_LOOK I_JUMP I_TURN_LEFT I_RUN"]  # which can be executed
    references = [("I_WALK I_LOOK",), ("I_LOOK I_JUMP I_TURN_LEFT I_WALK",)]
    alone = METRICS[name].score(texts, references, MetricsConfig())
    assert oracle(name, [[text] for text in texts], references, MetricsConfig()) == alone
    more = oracle(
        name,
        [[text, reference] for text, (reference,) in zip(texts, references, strict=True)],
        references,
        MetricsConfig(),
    )
    assert more.value == METRICS[name].score([each for (each,) in references], references, MetricsConfig()).value


def test_an_empty_reference_is_met_by_nothing() -> None:
    assert oracle("wer", [["a", ""], ["b", "c"]], [("",), ("c",)], MetricsConfig()).value == 0.0


def test_list_scores_by_hand() -> None:
    found = list_scores([["a b c d", "a b c e"], ["x", "x"]], [("a b c d",), ("x y",)])
    assert found["length_ratio"].value == pytest.approx(5 / 6)  # 4 + 1 words for 4 + 2
    assert found["distinct_1"].value == pytest.approx((5 / 8 + 1 / 2) / 2)
    assert found["distinct_4"].value == 1.0  # of the first list alone: the other has no four words
    assert 50 < found["self_bleu"].value < 100  # the second list says the same twice


def test_lists_of_one_are_all_alike_and_short_ones_have_no_long_sequences() -> None:
    found = list_scores([["a b"], ["c d"]], [("a b",), ("c d",)])
    assert found["self_bleu"].value == 100.0 and found["length_ratio"].value == 1.0
    assert "distinct_2" in found and "distinct_4" not in found
