"""Tokenizers of packages that only extras install: what is theirs alone, and what is said when they are missing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from typing import Any

import pytest

from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.text import build_tokenizer
from seq2seq_lightning.text.extras import from_extra
from seq2seq_lightning.text.spacy_words import SpacyConfig
from seq2seq_lightning.text.wordpiece import WordPieceConfig, WordPieceTokenizer
from tests.text.registered import SIZE, TEXTS, small, tokenizer_of


def missing(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """As if it were not installed."""
    monkeypatch.setitem(sys.modules, package, None)


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, "spacy")
    words = r"The tokenizer spacy needs the package spacy: pip install 'seq2seq-lightning\[spacy\]'."
    with pytest.raises(ConfigurationError, match=words):
        build_tokenizer(SpacyConfig())
    for module in ("tokenizers", "tokenizers.models", "tokenizers.pre_tokenizers"):
        missing(monkeypatch, module)
    words = r"The tokenizer wordpiece needs the package tokenizers: pip install 'seq2seq-lightning\[wordpiece\]'."
    for act in (lambda: WordPieceTokenizer.learn(WordPieceConfig(), TEXTS), lambda: _built({"pieces": ["a"]})):
        with pytest.raises(ConfigurationError, match=words):
            act()


def _built(learnt: dict[str, Any]) -> WordPieceTokenizer:
    return WordPieceTokenizer(WordPieceConfig(), learnt)


def test_what_a_package_itself_lacks_is_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_thing"):
        from_extra("tests.text.lacking:x", "none", "the test")


def wordpiece() -> WordPieceTokenizer:
    pytest.importorskip("tokenizers")
    tokenizer = tokenizer_of(small(WordPieceConfig))
    assert isinstance(tokenizer, WordPieceTokenizer)
    return tokenizer


def test_words_are_cut_into_the_longest_pieces_and_punctuation_stands_alone() -> None:
    tokenizer = wordpiece()
    assert len(tokenizer.tokens()) == SIZE - 4
    tokens = tokenizer.tokenize("the cat, 24 ☃s")
    assert tokens[0] == "▁the" and "," in tokens and tokens[-1] == "▁☃s"  # unknown as a whole
    assert any(token.startswith("##") for token in tokens)
    for begin in tokenizer.tokens():  # the longest there is
        if "▁there".startswith(begin):
            assert len(begin) <= len(tokenizer.tokenize("there")[0])


def test_marks_in_the_text_are_text() -> None:
    tokenizer = wordpiece()
    for text in ("##a", "a ##b", "[UNK]", "a#", "##"):
        assert tokenizer.detokenize(tokenizer.tokenize(text)) == text


LEARNING = """
from seq2seq_lightning.text.wordpiece import WordPieceConfig, WordPieceTokenizer
from tests.text.registered import SIZE, TEXTS
print(*WordPieceTokenizer.learn(WordPieceConfig(vocab_size=SIZE), TEXTS)["pieces"])
"""


@pytest.mark.slow
def test_another_process_learns_the_same() -> None:
    expected = " ".join(wordpiece().tokens())
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", LEARNING], check=True, capture_output=True, text=True)
        assert done.stdout.strip() == expected


def test_sizes_that_the_text_does_not_have_are_told() -> None:
    pytest.importorskip("tokenizers")

    def learn(size: int, texts: Iterable[str] = TEXTS) -> list[str]:
        return WordPieceTokenizer.learn(WordPieceConfig(vocab_size=size), texts)["pieces"]

    with pytest.raises(ConfigurationError, match=r"is 9999, but the training text has pieces for \d+ at most.") as told:
        learn(9999)
    most = int(str(told.value).rsplit(" ", 1)[1].rstrip("."))
    assert len(learn(most)) == most - 4
    with pytest.raises(ConfigurationError, match=r"is 9, but the characters and special tokens of the training text"):
        learn(9)
    with pytest.raises(DataError, match=r"wordpiece cannot be learnt from the training text: it is empty"):
        learn(9, ["", " "])
    with pytest.raises(ConfigurationError, match=r"`vocab_size` of the tokenizer wordpiece is 4; .* set it to 5"):
        WordPieceConfig(vocab_size=4)


@pytest.mark.parametrize("learnt", [{}, {"pieces": "ab"}, {"pieces": ["a", 3]}, {"pieces": [""]}])
def test_what_was_not_learnt_is_refused(learnt: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="holds no list of pieces"):
        _built(learnt)


class Cut:
    """A token as spaCy gives it."""

    def __init__(self, text: str, whitespace_: str) -> None:
        self.text, self.whitespace_ = text, whitespace_


def test_spacys_tokens_remember_where_a_blank_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without spaCy: its tokens followed by their white space are the text, which is all that is asked of it."""
    cuts = [Cut("￭He", ""), Cut(",", " "), Cut("too", ""), Cut("￭", " ")]

    class Blank:
        tokenizer = staticmethod(lambda text: cuts if text else [])

    monkeypatch.setattr("seq2seq_lightning.text.spacy_words.from_extra", lambda *names: lambda language: Blank)
    tokenizer = build_tokenizer(SpacyConfig())
    text = "￭He, too￭ "
    assert tokenizer.tokenize(text) == ["￭￭He", "￭,", "too", "￭￭￭", "￭ "]
    assert tokenizer.detokenize(tokenizer.tokenize(text)) == text
    assert tokenizer.tokenize("") == [] and tokenizer.detokenize([]) == ""


def test_a_language_that_spacy_has_not_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"`language` of the tokenizer spacy is 'en.os'; it is a code of two"):
        SpacyConfig(language="en.os")

    def blank(language: str) -> None:
        raise ImportError(f"no {language}")

    monkeypatch.setattr("seq2seq_lightning.text.spacy_words.from_extra", lambda *names: blank)
    with pytest.raises(ConfigurationError, match=r"is 'zz', which spaCy cannot use here: no zz Choose a language"):
        build_tokenizer(SpacyConfig(language="zz"))


def test_spacy_cuts_by_the_rules_of_a_language() -> None:
    pytest.importorskip("spacy")
    tokenizer = build_tokenizer(SpacyConfig(language="en"))
    assert tokenizer.tokenize("Don't stop.") == ["Do", "￭n't", "stop", "￭."]
    for text in ("Don't stop, he said.  Twice ", " a", "￭a ￭￭b￭c￭ ￭", "a\n b\t\t c  ", "   ", "\u00a0a"):
        assert tokenizer.detokenize(tokenizer.tokenize(text)) == text
