"""Scores of single sentences: bounds, small truths, and BLEU against sacrebleu's own smoothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from seq2seq_lightning.metrics.sentence import SENTENCE_METRICS, bleu, edit_similarity, gleu, token_accuracy

CASES = settings(deadline=None, max_examples=50, derandomize=True)
sentences = st.lists(st.integers(4, 7), max_size=8)


@pytest.mark.parametrize("name", SENTENCE_METRICS)
@CASES
@given(sentences, sentences)
def test_scores_lie_between_0_and_1_and_only_the_reference_itself_has_1(name, hypothesis, reference):
    metric = SENTENCE_METRICS[name]
    assert metric(reference, reference) == pytest.approx(1.0)
    value = metric(hypothesis, reference)
    assert 0 <= value <= 1 + 1e-12
    if hypothesis != reference and name not in ("bleu", "gleu"):  # n-grams can agree in another order
        assert value < 1


@pytest.mark.parametrize(
    ("metric", "hypothesis", "reference", "value"),
    [
        (token_accuracy, "abx", "abcd", 2 / 4),  # a, b of the four positions
        (token_accuracy, "abcdee", "abcd", 4 / 6),  # two words too many
        (edit_similarity, "abx", "abcd", 1 - 2 / 4),  # x → c, + d
        (edit_similarity, "", "abcd", 0.0),
        (gleu, "abx", "abcd", 3 / 10),  # a, b, ab of 4 + 3 + 2 + 1
        (gleu, "abcdab", "abcd", 10 / 18),  # all ten of 6 + 5 + 4 + 3
        (bleu, "xy", "ab", 0.0),  # no word in common
        (bleu, "", "ab", 0.0),
    ],
)
def test_small_truths(metric, hypothesis, reference, value):
    assert metric(list(hypothesis), list(reference)) == pytest.approx(value)


@CASES
@given(st.lists(st.integers(4, 7), min_size=4, max_size=9), st.lists(st.integers(4, 7), min_size=4, max_size=9))
def test_bleu_is_sacrebleus_with_one_added(hypothesis, reference):
    theirs = BLEU(tokenize="none", smooth_method="add-k", smooth_value=1, force=True)
    texts = [" ".join(map(str, tokens)) for tokens in (hypothesis, reference)]
    assert 100 * bleu(hypothesis, reference) == pytest.approx(theirs.sentence_score(texts[0], [texts[1]]).score)
