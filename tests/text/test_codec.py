from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from seq2seq_lightning.errors import CheckpointError, ConfigurationError, DataError
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.text.sides import SourceTextConfig, TargetTextConfig, TextConfig
from seq2seq_lightning.text.tokenizers import CharactersConfig, CharacterUnit, SeparatedConfig, WhitespaceConfig

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
