"""Text and tokens: one line per tokenizer."""

from __future__ import annotations

from seq2seq_lightning.plugins import Table
from seq2seq_lightning.text.pieces import PiecesTokenizer
from seq2seq_lightning.text.pieces_config import BPEConfig, UnigramConfig
from seq2seq_lightning.text.sides import SourceTextConfig, TargetTextConfig, TextConfig
from seq2seq_lightning.text.spacy_words import SpacyConfig, SpacyTokenizer
from seq2seq_lightning.text.tokenizers import (
    CharactersConfig,
    CharacterTokenizer,
    Learnt,
    LearntTokenizer,
    LearntTokenizerConfig,
    SeparatedConfig,
    SeparatedTokenizer,
    Tokenizer,
    TokenizerConfig,
    WhitespaceConfig,
    WhitespaceTokenizer,
)
from seq2seq_lightning.text.wordpiece import WordPieceConfig, WordPieceTokenizer

__all__ = [
    "TOKENIZERS",
    "LearntTokenizer",
    "LearntTokenizerConfig",
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
        BPEConfig: PiecesTokenizer,
        UnigramConfig: PiecesTokenizer,
        WordPieceConfig: WordPieceTokenizer,
        SpacyConfig: SpacyTokenizer,
    },
)


def build_tokenizer(config: TokenizerConfig, learnt: Learnt | None = None) -> Tokenizer:
    """The tokenizer a config asks for; learnt: what it knows from texts, if it is of that kind.

    Raises ValueError, with the reason, for something that such a tokenizer has not learnt.
    """
    kind = TOKENIZERS[type(config)]
    if issubclass(kind, LearntTokenizer):
        return kind(config, {} if learnt is None else learnt)
    return kind(config)
