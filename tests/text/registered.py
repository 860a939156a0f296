"""Every registered tokenizer; those that learn have seen a few lines."""

from __future__ import annotations

from dataclasses import fields
from importlib.util import find_spec
from typing import Any

from seq2seq_lightning.text import TOKENIZERS, LearntTokenizer, LearntTokenizerConfig, build_tokenizer
from seq2seq_lightning.text.tokenizers import Tokenizer, TokenizerConfig

TEXTS = [
    "the cat sat on the mat, and the dog ran to the cat.",
    "a cat that sat there ran to the mat; the mat is that of the dog.",
    "Ein Hund läuft über die Straße – und die Katze läuft hinterher!",
    "the mother and her brother gather other feathers together, whether the weather is rather bad or rather good",
    "station nation rotation relation ration notation donation",
    "international operations and national corporations were in relation to the integration of generations",
]
SIZE = 72  # small enough for these lines
_BUILT: dict[str, Tokenizer] = {}


def small(kind: type[TokenizerConfig], **options: Any) -> TokenizerConfig:
    """A config of this kind for so few lines; options that it has not are left out."""
    known = {each.name for each in fields(kind)}
    return kind(**{key: value for key, value in ({"vocab_size": SIZE} | options).items() if key in known})


EXTRAS = {"wordpiece": "tokenizers", "spacy": "spacy"}  # tokenizer → the package that an extra installs for it


def registered(**options: Any) -> list[TokenizerConfig]:
    """A config of every registered tokenizer whose package is installed."""
    configs = [small(kind, **options) for kind in TOKENIZERS]
    return [each for each in configs if each.name not in EXTRAS or find_spec(EXTRAS[each.name]) is not None]


def learning(**options: Any) -> list[TokenizerConfig]:
    """Those that learn."""
    return [config for config in registered(**options) if isinstance(config, LearntTokenizerConfig)]


def tokenizer_of(config: TokenizerConfig) -> Tokenizer:
    """The tokenizer of a config; what it learns it learns once."""
    if repr(config) not in _BUILT:
        kind = TOKENIZERS[type(config)]
        learnt = kind.learn(config, TEXTS) if issubclass(kind, LearntTokenizer) else None
        _BUILT[repr(config)] = build_tokenizer(config, learnt)
    return _BUILT[repr(config)]
