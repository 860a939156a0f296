"""Text to tokens and back, without loss on the texts each tokenizer names."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, TypeVar

import regex

from seq2seq_lightning.errors import ConfigurationError, nearest

Member = TypeVar("Member", bound=Enum)


@dataclass
class TokenizerConfig:
    """Which tokenizer cuts a text; each option is a subclass with its own fields."""

    name: str = ""


class Tokenizer(ABC):
    """Cuts a text into tokens and joins tokens to a text."""

    def __init__(self, config: TokenizerConfig) -> None:
        self.config = config

    @abstractmethod
    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text; none of them is empty."""

    @abstractmethod
    def detokenize(self, tokens: Sequence[str]) -> str:
        """The text of tokens."""


@dataclass
class WhitespaceConfig(TokenizerConfig):
    """Words between white space."""

    name: str = "whitespace"


class WhitespaceTokenizer(Tokenizer):
    """Cuts at every run of white space (Unicode's, so also at no-break spaces) and joins with one blank.

    Lossless for texts whose words are separated by single blanks, with no white space besides.
    """

    def tokenize(self, text: str) -> list[str]:
        """The words of a text."""
        return text.split()

    def detokenize(self, tokens: Sequence[str]) -> str:
        """Words joined with single blanks."""
        return " ".join(tokens)


class CharacterUnit(Enum):
    """What counts as one character."""

    code_points = "code_points"
    graphemes = "graphemes"


class Normalization(Enum):
    """What is done to a text before it is cut."""

    none = "none"
    nfc = "nfc"


@dataclass
class CharactersConfig(TokenizerConfig):
    """Single characters, blanks included."""

    name: str = "characters"
    # code_points: Unicode scalar values; graphemes: what a reader sees as one character (extended grapheme clusters)
    unit: CharacterUnit = CharacterUnit.code_points
    # nfc: compose accents first (Unicode normal form C); none: leave the text as it is
    normalize: Normalization = Normalization.none

    def __post_init__(self) -> None:
        self.unit = _member(CharacterUnit, self.unit, "unit")
        self.normalize = _member(Normalization, self.normalize, "normalize")


class CharacterTokenizer(Tokenizer):
    """Cuts between characters and joins with nothing.

    Lossless for every text with ``normalize: none``, and for every text in normal form C with ``normalize: nfc``.
    Grapheme clusters are those of Unicode Standard Annex 29, by ``\\X`` of the regex library.
    """

    def __init__(self, config: CharactersConfig) -> None:
        super().__init__(config)
        self.compose = config.normalize is Normalization.nfc
        self.clusters = config.unit is CharacterUnit.graphemes

    def tokenize(self, text: str) -> list[str]:
        """The characters of a text."""
        text = unicodedata.normalize("NFC", text) if self.compose else text
        return regex.findall(r"\X", text) if self.clusters else list(text)

    def detokenize(self, tokens: Sequence[str]) -> str:
        """Characters set side by side."""
        return "".join(tokens)


@dataclass
class SeparatedConfig(TokenizerConfig):
    """Symbols between a separator, such as the phones of a pronunciation."""

    name: str = "separated"
    # the string between two symbols
    separator: str = " "

    def __post_init__(self) -> None:
        if not self.separator:
            raise ConfigurationError(
                "The tokenizer `separated` needs a separator of at least one character, but `separator` is ''. "
                "Set for example `separator=' '`, or choose the tokenizer `characters`."
            )


class SeparatedTokenizer(Tokenizer):
    """Cuts at the separator and nowhere else, so that a symbol may hold any other white space.

    Lossless for texts without a leading, trailing or doubled separator; an empty symbol is dropped.
    """

    def __init__(self, config: SeparatedConfig) -> None:
        super().__init__(config)
        self.separator = config.separator

    def tokenize(self, text: str) -> list[str]:
        """The symbols of a text."""
        return [symbol for symbol in text.split(self.separator) if symbol]

    def detokenize(self, tokens: Sequence[str]) -> str:
        """Symbols joined with the separator."""
        return self.separator.join(tokens)


def config_to_plain(config: TokenizerConfig) -> dict[str, Any]:
    """A tokenizer's config as plain values; enum members by name."""
    values = {field.name: getattr(config, field.name) for field in fields(config)}
    return {key: value.name if isinstance(value, Enum) else value for key, value in values.items()}


def config_from_plain(plain: dict[str, Any], allowed: Iterable[type[TokenizerConfig]]) -> TokenizerConfig:
    """The config that ``config_to_plain`` wrote, found among the allowed classes by its name."""
    by_name = {cls.name: cls for cls in allowed}
    name = str(plain.get("name"))
    if name not in by_name:
        raise ConfigurationError(f"There is no tokenizer {name!r}. {nearest(name, by_name)}")
    return by_name[name](**plain)


def _member(kind: type[Member], value: Member | str, key: str) -> Member:
    """The enum member a name stands for, as plain values carry names."""
    if isinstance(value, kind):
        return value
    if value not in kind.__members__:
        raise ConfigurationError(f"`{key}` of the tokenizer is {value!r}. {nearest(str(value), kind.__members__)}")
    return kind[str(value)]
