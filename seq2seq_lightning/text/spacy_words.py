"""Words and punctuation as spaCy's rules for a language cut them; no trained model is needed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.text.extras import from_extra
from seq2seq_lightning.text.tokenizers import Tokenizer, TokenizerConfig

JOINT = "\uffed"  # ￭, begins a token that no blank stands before


@dataclass
class SpacyConfig(TokenizerConfig):
    """The tokenizer of a blank spaCy pipeline (needs the extra `spacy`)."""

    name: str = "spacy"
    # two or three letters, such as en, de, fr; xx: rules of no language in particular
    language: str = "xx"

    def __post_init__(self) -> None:
        if not re.fullmatch("[a-z]{2,3}", self.language):
            raise ConfigurationError(
                f"`language` of the tokenizer spacy is {self.language!r}; it is a code of two or three small letters, "
                "such as en, de or fr, or xx for no language in particular."
            )


class SpacyTokenizer(Tokenizer):
    """Cuts as spaCy does and remembers where a blank was: a token that follows without one begins with ￭.

    Lossless for every text. A token that begins with ￭ itself has it twice.
    """

    def __init__(self, config: SpacyConfig) -> None:
        super().__init__(config)
        blank = from_extra("spacy:blank", "spacy", "the tokenizer spacy")
        try:
            self._cut: Any = blank(config.language).tokenizer
        except ImportError as error:
            raise ConfigurationError(
                f"`language` of the tokenizer spacy is {config.language!r}, which spaCy cannot use here: {error} "
                "Choose a language that it has, or xx for no language in particular."
            ) from error

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text."""
        tokens, stands_apart = [], True
        for token in self._cut(text):
            word = str(token.text)
            marks = len(word) - len(word.lstrip(JOINT))
            tokens.append(JOINT * (marks if stands_apart else marks + 1) + word)
            stands_apart = bool(token.whitespace_)
        if tokens and stands_apart:  # a blank at the end belongs to no token
            tokens.append(f"{JOINT} ")
        return tokens

    def detokenize(self, tokens: Sequence[str]) -> str:
        """Tokens joined with blanks but where they say that there was none."""
        parts = []
        for place, token in enumerate(tokens):
            marks = len(token) - len(token.lstrip(JOINT))
            apart = place > 0 and marks % 2 == 0
            parts.append((" " if apart else "") + token[(marks + 1) // 2 :])
        return "".join(parts)
