"""Subwords by sentencepiece: what is learnt, kept, refused, and cut by chance."""

from __future__ import annotations

import base64
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.text.pieces import PiecesTokenizer
from seq2seq_lightning.text.pieces_config import BPEConfig, PiecesConfig, TextNormalization, UnigramConfig
from tests.text.registered import SIZE, TEXTS, small, tokenizer_of

KINDS = pytest.mark.parametrize("kind", [BPEConfig, UnigramConfig])
ODD = st.text(st.sampled_from("the cat☃äé \t\u00a0▁<0x41>ﬁ"))


def of(config: Any) -> PiecesTokenizer:
    tokenizer = tokenizer_of(config)
    assert isinstance(tokenizer, PiecesTokenizer)
    return tokenizer


def by_chance(kind: type[PiecesConfig], value: float = 0.5, **options: Any) -> Any:
    return small(kind, **{kind.chance: value}, **options)


@KINDS
def test_the_same_texts_teach_the_same_and_the_vocabulary_has_the_size_asked_for(kind: type[PiecesConfig]) -> None:
    config: Any = small(kind)
    assert PiecesTokenizer.learn(config, iter(TEXTS)) == of(config).learnt
    tokens = of(config).tokens()
    assert len(tokens) == len(set(tokens)) == SIZE - 4
    assert any(len(token) > 2 for token in tokens)


def test_pieces_are_those_of_sentencepiece_itself() -> None:
    tokenizer = of(small(BPEConfig))
    model = sentencepiece.SentencePieceProcessor(model_proto=base64.b64decode(tokenizer.learnt["model"]))
    for text in [*TEXTS, "a mat ☃☃ there"]:
        assert tokenizer.tokenize(text) == model.encode(text, out_type=str)
        assert tokenizer.detokenize(tokenizer.tokenize(text)) == model.decode(model.encode(text, out_type=str))


@KINDS
@settings(max_examples=60, deadline=None)
@given(ODD, st.sampled_from(TextNormalization), st.booleans(), st.booleans())
def test_any_settings_give_back_what_they_say(
    kind: type[PiecesConfig], text: str, normalization: TextNormalization, collapse_blanks: bool, byte_fallback: bool
) -> None:
    options = {"normalization": normalization, "collapse_blanks": collapse_blanks, "byte_fallback": byte_fallback}
    config: Any = small(kind, **options | ({"vocab_size": SIZE + 256} if byte_fallback else {}))
    tokenizer = of(config)
    given_back = tokenizer.normalize(text)
    assert tokenizer.detokenize(tokenizer.tokenize(text)) == given_back
    if normalization is TextNormalization.identity and "▁" not in text:
        assert given_back == (" ".join(filter(None, text.split(" "))) if collapse_blanks else text)
    if byte_fallback:
        assert set(tokenizer.tokenize(text)) <= set(tokenizer.tokens())


def test_symbols_are_always_one_token() -> None:
    tokenizer = of(small(BPEConfig, symbols=["<sep>", "cat sat"]))
    assert "<sep>" in tokenizer.tokenize("the<sep>mat")
    assert tokenizer.tokenize("the cat sat")[-1] == "cat▁sat"
    assert tokenizer.detokenize(tokenizer.tokenize("the cat sat<sep>")) == "the cat sat<sep>"


@KINDS
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**63 - 1), st.sampled_from([*TEXTS, "☃ the cat"]))
def test_a_cut_by_chance_is_another_cut_of_the_same_text_by_the_seed_alone(
    kind: type[PiecesConfig], seed: int, text: str
) -> None:
    tokenizer = of(by_chance(kind))
    tokens = tokenizer.tokenize_by_chance(text, seed)
    assert tokenizer.detokenize(tokens) == tokenizer.normalize(text)
    tokenizer.tokenize_by_chance("the dog", seed + 1)
    assert tokenizer.tokenize_by_chance(text, seed) == tokens


@KINDS
def test_chance_cuts_in_many_ways_and_leaves_the_plain_road_alone(kind: type[PiecesConfig]) -> None:
    tokenizer, plain = of(by_chance(kind)), of(small(kind))
    assert tokenizer.tokenize(TEXTS[0]) == plain.tokenize(TEXTS[0])
    assert len({tuple(tokenizer.tokenize_by_chance(TEXTS[0], seed)) for seed in range(10)}) > 5
    assert tokenizer.tokenize(TEXTS[0]) == plain.tokenize(TEXTS[0])


def test_dropout_of_all_merges_leaves_characters_and_of_none_the_plain_pieces() -> None:
    everything = of(by_chance(BPEConfig, 1.0))
    assert all(len(token) == 1 for token in everything.tokenize_by_chance(TEXTS[0], 3))
    nothing = of(small(BPEConfig))
    assert nothing.tokenize_by_chance(TEXTS[0], 3) == nothing.tokenize(TEXTS[0])


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    path = tmp_path / "own.model"
    path.write_bytes(base64.b64decode(of(small(BPEConfig)).learnt["model"]))
    return path


def test_a_model_file_is_used_as_it_is_and_known_by_its_content(model_file: Path) -> None:
    config = BPEConfig(model_file=str(model_file))
    assert PiecesTokenizer.learn(config, []) == of(small(BPEConfig)).learnt
    assert config.files() == {"model_file": sha256(model_file.read_bytes()).hexdigest()}
    assert BPEConfig().files() == {}


def test_a_model_file_of_sentencepieces_own_defaults_serves_too(tmp_path: Path) -> None:
    """Its special tokens are not ours: it has <s> and </s>, which are no tokens here, and other ids."""
    prefix = tmp_path / "theirs"
    with (tmp_path / "text").open("w", encoding="utf-8") as file:
        file.write("\n".join(TEXTS))
    sentencepiece.SentencePieceTrainer.train(
        input=str(tmp_path / "text"), model_prefix=str(prefix), vocab_size=70, model_type="bpe", minloglevel=2
    )
    config = BPEConfig(model_file=f"{prefix}.model")
    tokenizer = PiecesTokenizer(config, PiecesTokenizer.learn(config, []))
    assert not {"<s>", "</s>", "<unk>"} & set(tokenizer.tokens())
    assert tokenizer.detokenize(tokenizer.tokenize("the  cat ﬁ")) == tokenizer.normalize("the  cat ﬁ") == "the cat fi"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda blob: b"", "no sentencepiece model, or a damaged one"),
        (lambda blob: b"PK\x03\x04 pickle", "no sentencepiece model, or a damaged one"),
        (lambda blob: blob[:-1], "no sentencepiece model, or a damaged one"),
        (lambda blob: blob[: blob.rindex(b"\x1a")], "the end of the sentencepiece model is missing"),
    ],
    ids=["empty", "other", "cut", "cut between parts"],
)
def test_a_damaged_model_file_is_refused(make: Callable[[bytes], bytes], words: str, model_file: Path) -> None:
    model_file.write_bytes(make(model_file.read_bytes()))
    with pytest.raises(ConfigurationError, match=rf"`model_file` of the tokenizer bpe is .*{words}. Give a model"):
        PiecesTokenizer.learn(BPEConfig(model_file=str(model_file)), [])


def test_a_model_of_another_kind_and_a_missing_one_are_refused(model_file: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"a sentencepiece model of the kind bpe, not unigram. Give a model of"
    ):
        PiecesTokenizer.learn(UnigramConfig(model_file=str(model_file)), [])
    with pytest.raises(ConfigurationError, match=r"cannot be read: No such file or directory. Give the path of a sent"):
        PiecesTokenizer.learn(BPEConfig(model_file=str(tmp_path / "none.model")), [])


@pytest.mark.parametrize(
    ("learnt", "words"),
    [
        ({}, "holds no sentencepiece model"),
        ({"model": 3}, "holds no sentencepiece model"),
        ({"model": "§"}, "is not base64"),
        ({"model": "AAAA", "sha256": "0"}, "has not the checksum"),
        ({"model": "AAAA", "sha256": sha256(b"\0\0\0").hexdigest()}, "no sentencepiece model, or a damaged one"),
    ],
)
def test_what_was_not_learnt_is_refused(learnt: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PiecesTokenizer(BPEConfig(), learnt)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.data())
def test_no_bytes_break_the_reader(junk: bytes, data: st.DataObject) -> None:
    whole = base64.b64decode(of(small(UnigramConfig)).learnt["model"])
    place = data.draw(st.integers(0, len(whole)))
    for blob in (junk, whole[:place] + junk + whole[place + len(junk) :]):
        try:
            learnt = {"model": base64.b64encode(blob).decode(), "sha256": sha256(blob).hexdigest()}
            tokenizer = PiecesTokenizer(UnigramConfig(), learnt)
        except ValueError:
            continue
        tokenizer.detokenize(tokenizer.tokenize("the cat ☃"))


@KINDS
def test_a_size_that_the_text_does_not_have_is_told_with_the_largest(kind: type[PiecesConfig]) -> None:
    with pytest.raises(
        ConfigurationError, match=r"is 9999, but the training text has pieces for (\d+) at most."
    ) as told:
        PiecesTokenizer.learn(kind(vocab_size=9999), TEXTS)
    most = int(str(told.value).rsplit(" ", 1)[1].rstrip("."))
    config = kind(vocab_size=most)
    assert len(PiecesTokenizer(config, PiecesTokenizer.learn(config, TEXTS)).tokens()) == most - 4


def test_a_size_below_the_characters_and_an_empty_text_are_told() -> None:
    with pytest.raises(ConfigurationError, match=r"is 9, but the characters, .* are \d+ already. Set it to more than"):
        PiecesTokenizer.learn(BPEConfig(vocab_size=9), TEXTS)
    for texts in ([], ["", " "]):
        with pytest.raises(DataError, match=r"bpe cannot be learnt from the training text: it is empty."):
            PiecesTokenizer.learn(BPEConfig(), texts)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"vocab_size": 4}, "`vocab_size` of the tokenizer bpe is 4; .* set it to 5 or more"),
        ({"character_coverage": 0.0}, "`character_coverage` of the tokenizer bpe is 0.0; it is a share"),
        ({"dropout": 1.5}, "`dropout` of the tokenizer bpe is 1.5; it is a probability"),
        ({"symbols": ["a", "a"]}, "`symbols` of the tokenizer bpe is .* each once"),
        ({"symbols": [" "]}, "`symbols` of the tokenizer bpe is .* not blank"),
        ({"normalization": "nfd"}, "`normalization` of the tokenizer is 'nfd'. Allowed"),
        (
            {"model_file": "m", "vocab_size": 9},
            "`vocab_size` of the tokenizer bpe changes nothing, because `model_file`",
        ),
        ({"model_file": "m", "symbols": ["a"]}, "`symbols` of the tokenizer bpe changes nothing"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        BPEConfig(**options)


def test_a_negative_exponent_is_refused_and_zero_is_one() -> None:
    with pytest.raises(ConfigurationError, match=r"`alpha` of the tokenizer unigram is -1.0; it is an exponent"):
        UnigramConfig(alpha=-1.0)
    assert UnigramConfig(alpha=0.0).cuts_by_chance and not UnigramConfig().cuts_by_chance
    assert BPEConfig(dropout=0.1).cuts_by_chance and not BPEConfig().cuts_by_chance
    assert BPEConfig(model_file="m", dropout=0.1).without_chance() == BPEConfig(model_file="m")
