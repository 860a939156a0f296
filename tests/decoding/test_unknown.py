"""Unknown words replaced by what attention looked at, worked by hand."""

from __future__ import annotations

from seq2seq_lightning.decoding import Hypothesis
from seq2seq_lightning.decoding.unknown import with_copied_words
from tests.decoding.table_model import IDS

UNK, SOURCE = 3, [9, 4, 10, IDS.eos]  # two words that the target does not know, around one that it does
LOOKS = [[0.1, 0.2, 0.3, 0.4], [0.5, 0.5, 0.0, 0.0], [0.1, 0.6, 0.2, 0.1], [0.0, 0.0, 0.0, 1.0]]


def hypothesis(*tokens: int, attention: list[list[float]] | None = LOOKS) -> Hypothesis:
    return Hypothesis(list(tokens), True, -1.0, -0.5, [-0.25] * 4, attention)


def test_each_unknown_word_is_the_one_looked_at_most() -> None:
    """The mark at the end is no word, though it has the largest weight; of equal weights the first position counts."""
    found = with_copied_words(hypothesis(UNK, UNK, UNK), SOURCE, UNK, IDS)
    assert found.tokens == [10, 9, 4]
    assert (found.log_prob, found.score, found.token_log_probs) == (-1.0, -0.5, [-0.25] * 4)


def test_known_words_stay() -> None:
    assert with_copied_words(hypothesis(5, UNK, 6), SOURCE, UNK, IDS).tokens == [5, 9, 6]
    assert with_copied_words(hypothesis(5, 6, attention=None), SOURCE, UNK, IDS).tokens == [5, 6]


def test_a_source_of_marks_alone_has_nothing_to_copy() -> None:
    assert with_copied_words(hypothesis(UNK, attention=[[1.0], [1.0]]), [IDS.eos], UNK, IDS).tokens == [UNK]
