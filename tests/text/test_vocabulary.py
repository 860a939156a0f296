from __future__ import annotations

import pytest

from seq2seq_lightning.errors import CheckpointError, DataError
from seq2seq_lightning.text.vocabulary import Vocabulary


def test_the_special_tokens_come_first():
    vocabulary = Vocabulary.build([["a"]])
    assert vocabulary.tokens == ("<pad>", "<bos>", "<eos>", "<unk>", "a")
    assert (vocabulary.pad_id, vocabulary.bos_id, vocabulary.eos_id, vocabulary.unk_id) == (0, 1, 2, 3)
    assert len(vocabulary) == 5


def test_tokens_are_ordered_by_frequency_then_spelling():
    # c 3 times; b and d twice each; a once
    vocabulary = Vocabulary.build([["c", "d", "b"], ["c", "b", "d", "a"], ["c"]])
    assert vocabulary.tokens[4:] == ("c", "b", "d", "a")


def test_rare_tokens_and_those_beyond_the_size_are_left_out():
    sentences = [["c", "d", "b"], ["c", "b", "d", "a"], ["c"]]
    assert Vocabulary.build(sentences, min_frequency=2).tokens[4:] == ("c", "b", "d")
    assert Vocabulary.build(sentences, max_size=2).tokens[4:] == ("c", "b")


def test_known_tokens_return_and_unknown_ones_show_as_unk():
    vocabulary = Vocabulary.build([["a", "b"]])
    assert vocabulary.encode(["b", "x", "a"]) == [5, 3, 4]
    assert vocabulary.decode([5, 3, 4, 2]) == ["b", "<unk>", "a", "<eos>"]
    assert "a" in vocabulary and "x" not in vocabulary


def test_text_spelt_like_a_mark_is_not_the_mark():
    vocabulary = Vocabulary.build([["<eos>", "a", "<pad>"]])
    assert vocabulary.tokens[4:] == ("a",)
    assert vocabulary.encode(["<eos>", "<pad>", "a"]) == [3, 3, 4]


def test_a_frozen_lookup_names_the_symbol():
    with pytest.raises(DataError, match=r"'x' is outside the frozen vocabulary of 1 tokens"):
        Vocabulary.build([["a"]]).encode(["a", "x"], frozen=True)


def test_plain_values_give_the_same_vocabulary():
    vocabulary = Vocabulary.build([["a", "b", "ü"]])
    plain = vocabulary.to_plain()
    assert plain == {"format": 1, "tokens": ["<pad>", "<bos>", "<eos>", "<unk>", "a", "b", "ü"]}
    assert Vocabulary.from_plain(plain) == vocabulary


def test_another_format_is_refused():
    with pytest.raises(CheckpointError, match="format 9; this version reads format 1"):
        Vocabulary.from_plain({"format": 9, "tokens": []})


def test_a_vocabulary_without_marks_or_with_a_repeated_token_is_refused():
    with pytest.raises(DataError, match="begins with <pad> <bos> <eos> <unk>"):
        Vocabulary(("a", "b"))
    with pytest.raises(DataError, match="'a' stands in it more than once"):
        Vocabulary((*Vocabulary.SPECIALS, "a", "a"))
