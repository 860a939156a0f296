from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_lightning.errors import DataError
from seq2seq_lightning.metrics.sequence import cer, exact_match, per, token_accuracy, wer

sentences = st.lists(st.sampled_from(["a", "b", "cd", "e f"]), max_size=6).map(" ".join)
corpora = st.lists(st.tuples(sentences, st.lists(sentences, min_size=1, max_size=3).map(tuple)), min_size=1, max_size=5)
CASES = settings(deadline=None, max_examples=60, derandomize=True)


def edits(one: Sequence[str], other: Sequence[str]) -> int:
    """Levenshtein distance from its definition."""

    @cache
    def between(i: int, j: int) -> int:
        if i == 0 or j == 0:
            return i + j
        replaced = between(i - 1, j - 1) + (one[i - 1] != other[j - 1])
        return min(replaced, between(i - 1, j) + 1, between(i, j - 1) + 1)

    return between(len(one), len(other))


@CASES
@given(corpus=corpora)
def test_error_rates_equal_the_definition(corpus: list[tuple[str, tuple[str, ...]]]) -> None:
    hypotheses, references = [text for text, _ in corpus], [several for _, several in corpus]
    for metric, units in ((wer, str.split), (per, str.split), (cer, list)):
        summed = length = 0
        for text, several in corpus:
            found = [(edits(units(text), units(each)), -len(units(each))) for each in several]
            summed, length = summed + min(found)[0], length - min(found)[1]
        if length == 0:
            with pytest.raises(DataError, match="Every reference is empty"):
                metric(hypotheses, references)
        else:
            assert metric(hypotheses, references).value == pytest.approx(100 * summed / length)


@CASES
@given(corpus=corpora)
def test_a_reference_said_back_is_perfect(corpus: list[tuple[str, tuple[str, ...]]]) -> None:
    references = [(*several, "x") for _, several in corpus]
    hypotheses = [several[-1] for several in references]
    assert exact_match(hypotheses, references).value == token_accuracy(hypotheses, references).value == 100.0
    assert wer(hypotheses, references).value == cer(hypotheses, references).value == 0.0


def test_error_rates_sum_before_they_divide() -> None:
    """1 of 1 word wrong and 0 of 3: 25 %, not the mean of 100 % and 0 %."""
    score = wer(["x", "a b c"], [("a",), ("a b c",)])
    assert (score.value, score.n) == (25.0, 2)


def test_error_rates_can_exceed_a_hundred() -> None:
    assert wer(["x y z"], [("a",)]).value == 300.0


def test_the_nearest_reference_counts_and_its_length() -> None:
    """To `a b` 1 edit (of 2), to `a b c d` 1 edit too (of 4): the longest of the nearest, so 25 %."""
    assert wer(["a b d"], [("a b", "a b c d", "x y z u v")]).value == 25.0


def test_words_and_characters() -> None:
    assert cer(["abc de"], [("abd  de",)]).value == pytest.approx(100 / 6)  # d → c among `abd de`, six characters
    assert wer(["abc de"], [("abd de",)]).value == 50.0
    assert cer(["é"], [("é",)]).value == 0.0
    assert "unit:phoneme" in (per(["a"], [("a",)]).signature or "")


def test_exact_match_takes_any_reference_and_any_whitespace() -> None:
    score = exact_match(["a  b", "a c", "A b", ""], [("x", "a b "), ("a b",), ("a b",), ("a",)])
    assert (score.value, score.n) == (25.0, 4)


@pytest.mark.parametrize(
    ("hypothesis", "references", "expected"),
    [
        ("a b c", ("a b c d",), 75.0),  # too short: the fourth position is wrong
        ("a b c d e", ("a b c d",), 100.0),  # what comes after is not counted
        ("b c d", ("a b c d",), 0.0),  # shifted by one: positions, not alignment
        ("a x", ("a b c d", "a b"), 50.0),  # the reference with the larger share
        ("", ("a b",), 0.0),
    ],
)
def test_token_accuracy_by_position(hypothesis: str, references: tuple[str, ...], expected: float) -> None:
    assert token_accuracy([hypothesis], [references]).value == expected


def test_token_accuracy_counts_positions_of_the_corpus() -> None:
    """1 of 1 and 1 of 4 positions: 40 %, not the mean of 100 % and 25 %."""
    assert token_accuracy(["a", "a x x x"], [("a",), ("a b c d",)]).value == 40.0


@pytest.mark.parametrize("metric", [exact_match, token_accuracy, wer, cer, per])
def test_unequal_corpora_are_refused(metric) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match="1 hypotheses for 2 references"):
        metric(["a"], [("a",), ("b",)])
