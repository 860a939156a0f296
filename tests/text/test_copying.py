"""Source words as ids of the target: by word form, extended per sentence, and back without loss."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.text.copying import Copying
from seq2seq_lightning.text.sides import SourceTextConfig, TargetTextConfig

V = 6  # pad bos eos unk x y


def copying(source: dict | None = None, target: dict | None = None) -> Copying:
    return Copying(
        SourceCodec.build(SourceTextConfig(**source or {}), ["a b"]),
        TargetCodec.build(TargetTextConfig(**target or {}), ["x y"]),
    )


def test_a_known_word_has_its_id_and_others_count_from_the_end_of_the_vocabulary() -> None:
    found = copying()
    assert found.source_ids("n x m n") == [V, 4, V + 1, V, 2]
    assert found.target_ids("n x m n", "m y x z n") == [V + 1, 5, 4, 3, V]
    assert found.unknown("n x m n") == ["n", "m"]
    assert found.decode([V + 1, 5, 2, V, 3], "n x m n") == "m y n <unk>"


@pytest.mark.parametrize(
    "options", [{}, {"bos": True}, {"reverse": True}, {"eos": False}, {"reverse": True, "bos": True}]
)
def test_ids_stand_where_the_encoder_reads_their_words(options: dict) -> None:
    source = "q a x r b q"
    both = Copying(SourceCodec.build(SourceTextConfig(**options), [source]), copying().target)
    words = [*both.target.vocabulary.tokens, *both.unknown(source)]
    read = [both.source.vocabulary.tokens[index] for index in both.source.encode(source)]  # it knows every word
    assert [words[index] for index in both.source_ids(source)] == read
    assert {"q", "a", "x", "r", "b"} <= set(read)


def test_a_word_is_compared_as_the_target_writes_it() -> None:
    assert copying(target={"lowercase": True}).source_ids("X Q") == [4, V, 2]
    assert copying(target={"lowercase": True}).unknown("X Q q") == ["q"]
    assert copying().source_ids("X Q") == [V, V + 1, 2]


def test_a_source_word_spelt_like_a_mark_is_a_word() -> None:
    both = copying()
    assert both.source_ids("<eos> x") == [V, 4, 2]
    assert both.decode([V], "<eos> x") == "<eos>"


@given(st.lists(st.sampled_from("xyabcnm"), min_size=1), st.booleans())
def test_what_a_target_repeats_of_its_source_comes_back(words: list[str], reverse: bool) -> None:
    both, text = copying({"reverse": reverse}), " ".join(words)
    assert both.decode(both.target_ids(text, text), text) == text
