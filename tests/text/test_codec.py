from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from seq2seq_lightning.errors import CheckpointError, ConfigurationError, DataError
from seq2seq_lightning.text.building import build_codecs
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.text.learning import drawn
from seq2seq_lightning.text.pieces_config import BPEConfig
from seq2seq_lightning.text.sides import SourceTextConfig, TargetTextConfig, TextConfig
from seq2seq_lightning.text.tokenizers import (
    CharactersConfig,
    CharacterUnit,
    SeparatedConfig,
    TokenizerConfig,
    WhitespaceConfig,
)
from seq2seq_lightning.text.vocabulary import Vocabulary
from tests.text.registered import SIZE, learning, small, tokenizer_of
from tests.text.registered import TEXTS as LINES

TEXTS = ["a b c", "a b", "a"]  # ids: a 4, b 5, c 6


def source_codec(**options) -> SourceCodec:
    return SourceCodec.build(SourceTextConfig(**options), TEXTS)


def test_a_source_ends_with_eos_unless_switched_off():
    assert source_codec().encode("c a b") == [6, 4, 5, 2]
    assert source_codec(eos=False).encode("c a b") == [6, 4, 5]
    assert source_codec(bos=True).encode("c a b") == [1, 6, 4, 5, 2]


def test_reversing_moves_the_tokens_and_leaves_the_marks():
    assert source_codec(reverse=True, bos=True).encode("c a b") == [1, 5, 4, 6, 2]


def test_a_target_has_no_marks():
    assert TargetCodec.build(TargetTextConfig(), TEXTS).encode("c a b") == [6, 4, 5]


@given(st.lists(st.sampled_from("abc"), min_size=1), st.booleans(), st.booleans(), st.booleans())
def test_known_text_comes_back_whatever_the_marks_and_the_order(words: list[str], eos: bool, bos: bool, reverse: bool):
    codec = source_codec(eos=eos, bos=bos, reverse=reverse)
    assert codec.decode(codec.encode(" ".join(words))) == " ".join(words)


def test_unknown_tokens_show_as_unk_and_padding_does_not_show():
    codec = source_codec()
    assert codec.decode([*codec.encode("a x"), 0, 0]) == "a <unk>"
    with pytest.raises(DataError, match="'x' is outside the frozen vocabulary"):
        codec.encode("a x", frozen=True)


def test_lower_case_applies_to_vocabulary_and_text():
    codec = SourceCodec.build(SourceTextConfig(lowercase=True), ["A b"])
    assert codec.vocabulary.tokens[4:] == ("a", "b")
    assert codec.encode("B A") == [5, 4, 2]


def test_vocabulary_options_reach_the_vocabulary():
    assert source_codec(min_frequency=2).vocabulary.tokens[4:] == ("a", "b")
    assert source_codec(max_size=1).vocabulary.tokens[4:] == ("a",)


def test_an_empty_source_is_its_end_mark_or_an_error():
    assert source_codec().encode("") == [2]
    with pytest.raises(DataError, match=r"source ' ' has no tokens.*set `text.source.eos=true`"):
        source_codec(eos=False).encode(" ")


def test_plain_values_survive_json_and_give_the_same_codec():
    tokenizer = CharactersConfig(unit=CharacterUnit.graphemes)
    codec = SourceCodec.build(SourceTextConfig(tokenizer=tokenizer, reverse=True, lowercase=True), ["Été"])
    again = SourceCodec.from_plain(json.loads(json.dumps(codec.to_plain())))
    assert again == codec
    assert again.encode("tÉ") == codec.encode("tÉ")
    target = TargetCodec.build(TargetTextConfig(tokenizer=SeparatedConfig(separator="_")), ["a_b"])
    assert TargetCodec.from_plain(target.to_plain()) == target


def test_another_format_is_refused():
    with pytest.raises(CheckpointError, match="text section has format None"):
        SourceCodec.from_plain({})


def test_impossible_vocabulary_options_are_refused():
    with pytest.raises(ConfigurationError, match="min_frequency` is 0"):
        SourceTextConfig(min_frequency=0)
    with pytest.raises(ConfigurationError, match="max_size` is 0"):
        TargetTextConfig(max_size=0)


def test_the_config_is_a_structured_config():
    config = OmegaConf.structured(TextConfig)
    config.source.tokenizer = "???"  # as the schemas offered to Hydra leave every choice open
    config = OmegaConf.merge(config, {"source": {"tokenizer": OmegaConf.structured(CharactersConfig)}})
    config.merge_with_dotlist(["source.tokenizer.unit=graphemes", "source.reverse=true", "target.max_size=10"])
    built = OmegaConf.to_object(config)
    assert isinstance(built, TextConfig)
    assert built.source == SourceTextConfig(tokenizer=CharactersConfig(unit=CharacterUnit.graphemes), reverse=True)
    assert built.target == TargetTextConfig(tokenizer=WhitespaceConfig(), max_size=10)


@pytest.mark.parametrize("config", learning(), ids=str)
def test_what_a_tokenizer_has_learnt_travels_with_its_codec(config: TokenizerConfig):
    codec = SourceCodec.build(SourceTextConfig(tokenizer=config, lowercase=True, reverse=True), LINES)
    again = SourceCodec.from_plain(json.loads(json.dumps(codec.to_plain())))
    assert again == codec
    text = LINES[0].upper()
    assert again.encode(text, frozen=True) == codec.encode(text)
    assert again.decode(again.encode(text)) == LINES[0].lower()
    assert len(codec.vocabulary) == SIZE


@pytest.mark.parametrize("config", learning(), ids=str)
def test_an_unseen_character_is_unknown_and_refused_by_a_frozen_vocabulary(config: TokenizerConfig):
    codec = TargetCodec.build(TargetTextConfig(tokenizer=config), LINES)
    assert codec.encode("the ☃").count(codec.vocabulary.unk_id) == 1
    with pytest.raises(DataError, match=r"The symbol '.*☃' is outside the frozen vocabulary of \d+ tokens"):
        codec.encode("the ☃", frozen=True)


@pytest.mark.parametrize("config", learning(), ids=str)
def test_a_damaged_or_foreign_text_section_is_refused(config: TokenizerConfig):
    plain = TargetCodec.build(TargetTextConfig(tokenizer=config), LINES).to_plain()
    with pytest.raises(CheckpointError, match=r"cannot be used as it was stored: .* train it again"):
        TargetCodec.from_plain(plain | {"learnt": {}})
    with pytest.raises(CheckpointError, match=r"of the checkpoint has other tokens than its vocabulary"):
        TargetCodec.from_plain(plain | {"vocabulary": Vocabulary(Vocabulary.SPECIALS).to_plain()})
    for changed in ({"config": {}}, {"config": {"tokenizer": {"name": "x"}}}, {"vocabulary": {"format": 1}}):
        with pytest.raises(CheckpointError, match=r"text section of the checkpoint is damaged, or made by something"):
            TargetCodec.from_plain(plain | changed)


def test_one_vocabulary_for_both_sides_counts_the_words_of_both():
    joint = TextConfig(SourceTextConfig(min_frequency=2), TargetTextConfig(min_frequency=2), joint=True)
    source, target = build_codecs(joint, ["a b", "b"], ["a c"])
    assert source.vocabulary == target.vocabulary
    assert source.vocabulary.tokens[4:] == ("a", "b")
    apart, _ = build_codecs(replace(joint, joint=False), ["a b", "b"], ["a c"])
    assert apart.vocabulary.tokens[4:] == ("b",)


@pytest.mark.parametrize("config", learning(), ids=str)
def test_one_tokenizer_for_both_sides_has_seen_both(config: TokenizerConfig):
    sides = TextConfig(SourceTextConfig(tokenizer=config), TargetTextConfig(tokenizer=config), joint=True)
    source, target = build_codecs(sides, LINES[:2], LINES[2:])
    assert source.learnt == target.learnt and source.vocabulary == target.vocabulary
    assert target == TargetCodec.build(sides.target, LINES)


def test_sides_that_differ_cannot_be_joint_but_for_chance():
    with pytest.raises(ConfigurationError, match=r"but `text.source.lowercase` is True and `text.target.lowercase` is"):
        TextConfig(SourceTextConfig(lowercase=True), TargetTextConfig(), joint=True)
    with pytest.raises(ConfigurationError, match=r"`text.source.tokenizer` is .*Set both alike, or `text.joint=false`"):
        TextConfig(SourceTextConfig(tokenizer=CharactersConfig()), TargetTextConfig(), joint=True)
    TextConfig(SourceTextConfig(tokenizer=BPEConfig(dropout=0.1)), TargetTextConfig(tokenizer=BPEConfig()), joint=True)


def test_a_tokenizer_can_learn_from_a_sample_of_the_texts():
    texts = [*LINES, *(f"x{number}" for number in range(200))]
    sampled = TargetCodec.build(TargetTextConfig(tokenizer=small(BPEConfig, vocab_size=45, sample=30)), texts)
    again = TargetCodec.build(sampled.config, drawn(texts, 30))
    assert sampled == again and len(set(drawn(texts, 30))) == 30
    assert drawn(LINES, 99) == LINES
    shares = [sum(text in LINES for text in drawn(texts[begin:] + texts[:begin], 100)) for begin in range(0, 200, 10)]
    assert 40 < sum(shares) < 80  # 20 draws of 6 lines, each with probability 100/206
    with pytest.raises(ConfigurationError, match=r"`sample` of the tokenizer bpe is 0; it is a number of texts"):
        BPEConfig(sample=0)


@pytest.mark.parametrize(("key", "value"), [("min_frequency", 2), ("max_size", 9)])
def test_a_learnt_vocabulary_has_its_own_size(key: str, value: int):
    with pytest.raises(ConfigurationError, match=rf"`text.<side>.{key}` is {value}, but the tokenizer bpe learns a"):
        SourceTextConfig(tokenizer=BPEConfig(), **{key: value})


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**62), st.booleans(), st.booleans(), st.sampled_from(["the cat sat on the mat", "the ☃☃ cat ☃"]))
def test_ids_cut_anew_say_the_same(seed: int, bos: bool, reverse: bool, text: str):
    tokenizer = small(BPEConfig, dropout=0.5)
    codec = SourceCodec.of_learnt(
        SourceTextConfig(tokenizer=tokenizer, bos=bos, reverse=reverse), tokenizer_of(tokenizer).learnt
    )
    ids = codec.encode(text)
    again = codec.recut(ids, seed)
    assert codec.decode(again) == codec.decode(ids)
    assert again.count(codec.vocabulary.unk_id) == ids.count(codec.vocabulary.unk_id)
    assert again == codec.recut(ids, seed)
