from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.text import TOKENIZERS, build_tokenizer
from seq2seq_lightning.text.tokenizers import (
    CharactersConfig,
    CharacterUnit,
    Normalization,
    SeparatedConfig,
    TokenizerConfig,
    WhitespaceConfig,
    config_from_plain,
    config_to_plain,
)
from tests.text.registered import registered, tokenizer_of

CONFIGS = [
    *registered(),
    *(CharactersConfig(unit=unit, normalize=form) for unit in CharacterUnit for form in Normalization),
    SeparatedConfig(separator=" | "),
]
ANY_TEXT = st.text(alphabet=st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from(" \t\u00a0e\u0301🇩🇪")))
WORD = ANY_TEXT.map(lambda text: "".join(text.split())).filter(bool)


@given(st.lists(WORD))
def test_whitespace_gives_text_of_single_blanks_back(words: list[str]):
    tokenizer = build_tokenizer(WhitespaceConfig())
    text = " ".join(words)
    assert tokenizer.tokenize(text) == words
    assert tokenizer.detokenize(tokenizer.tokenize(text)) == text


@given(ANY_TEXT, st.sampled_from(CharacterUnit))
def test_characters_give_any_text_back(text: str, unit: CharacterUnit):
    tokenizer = build_tokenizer(CharactersConfig(unit=unit))
    assert tokenizer.detokenize(tokenizer.tokenize(text)) == text


@given(ANY_TEXT, st.sampled_from(CharacterUnit))
def test_normalized_characters_give_composed_text_back(text: str, unit: CharacterUnit):
    tokenizer = build_tokenizer(CharactersConfig(unit=unit, normalize=Normalization.nfc))
    assert tokenizer.detokenize(tokenizer.tokenize(text)) == unicodedata.normalize("NFC", text)


@given(st.lists(ANY_TEXT.map(lambda text: text.replace(" ", "")).filter(bool)))
def test_separated_symbols_come_back_whatever_other_white_space_they_hold(symbols: list[str]):
    tokenizer = build_tokenizer(SeparatedConfig())
    assert tokenizer.tokenize(" ".join(symbols)) == symbols
    assert tokenizer.detokenize(symbols) == " ".join(symbols)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@settings(max_examples=40, deadline=None)
@given(ANY_TEXT)
def test_joined_tokens_are_the_normalized_text(config: TokenizerConfig, text: str):
    tokenizer = tokenizer_of(config)
    tokens = tokenizer.tokenize(text)
    assert "" not in tokens
    assert tokenizer.detokenize(tokens) == tokenizer.normalize(text)
    assert tokenizer.normalize(tokenizer.normalize(text)) == tokenizer.normalize(text)


def test_units_differ_where_a_character_has_several_code_points():
    text = "e\u0301t🇩🇪"  # e + combining acute, t, a flag of two regional indicators
    assert build_tokenizer(CharactersConfig()).tokenize(text) == ["e", "\u0301", "t", "🇩", "🇪"]
    graphemes = CharactersConfig(unit=CharacterUnit.graphemes)
    assert build_tokenizer(graphemes).tokenize(text) == ["e\u0301", "t", "🇩🇪"]
    composed = CharactersConfig(normalize=Normalization.nfc)
    assert build_tokenizer(composed).tokenize(text) == ["é", "t", "🇩", "🇪"]


def test_a_separator_other_than_a_blank():
    tokenizer = build_tokenizer(SeparatedConfig(separator=" | "))
    assert tokenizer.tokenize("t s | aː | ") == ["t s", "aː"]
    assert tokenizer.detokenize(["t s", "aː"]) == "t s | aː"


def test_an_empty_separator_is_refused():
    with pytest.raises(ConfigurationError, match=r"`separator` is ''. Set for example"):
        SeparatedConfig(separator="")


@pytest.mark.parametrize(
    "config",
    [
        *registered(),
        CharactersConfig(unit=CharacterUnit.graphemes, normalize=Normalization.nfc),
        SeparatedConfig(separator="_"),
    ],
    ids=str,
)
def test_plain_values_give_the_same_config(config: TokenizerConfig):
    plain = config_to_plain(config)
    assert config_from_plain(json.loads(json.dumps(plain)), TOKENIZERS) == config


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(ConfigurationError, match=r"no tokenizer 'charcters'. Did you mean 'characters'"):
        config_from_plain({"name": "charcters"}, TOKENIZERS)
    with pytest.raises(ConfigurationError, match=r"`unit` of the tokenizer is 'grapheme'. Did you mean 'graphemes'"):
        config_from_plain({"name": "characters", "unit": "grapheme"}, TOKENIZERS)
    with pytest.raises(ConfigurationError, match=r"`units` is no option of the tokenizer characters. Did you mean"):
        config_from_plain({"name": "characters", "units": "graphemes"}, TOKENIZERS)
