"""Text and tokens: one line per tokenizer."""

from __future__ import annotations

from seq2seq_lightning.plugins import Table
from seq2seq_lightning.text.sides import SourceTextConfig, TargetTextConfig, TextConfig
from seq2seq_lightning.text.tokenizers import (
    CharactersConfig,
    CharacterTokenizer,
    SeparatedConfig,
    SeparatedTokenizer,
    Tokenizer,
    TokenizerConfig,
    WhitespaceConfig,
    WhitespaceTokenizer,
)

__all__ = [
    "TOKENIZERS",
    "SourceTextConfig",
    "TargetTextConfig",
    "TextConfig",
    "Tokenizer",
    "TokenizerConfig",
    "build_tokenizer",
]

TOKENIZERS: Table[type[TokenizerConfig], type[Tokenizer]] = Table(
    "tokenizers",
    TokenizerConfig,
    {
        WhitespaceConfig: WhitespaceTokenizer,
        CharactersConfig: CharacterTokenizer,
        SeparatedConfig: SeparatedTokenizer,
    },
)


def build_tokenizer(config: TokenizerConfig) -> Tokenizer:
    """The tokenizer a config asks for."""
    return TOKENIZERS[type(config)](config)
