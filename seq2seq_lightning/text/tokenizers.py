"""Text to tokens and back, without loss on the texts each tokenizer names."""

from __future__ import annotations

import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, Self, TypeVar

import regex

from seq2seq_lightning.errors import ConfigurationError, nearest

Member = TypeVar("Member", bound=Enum)
Learnt = dict[str, Any]
"""What a tokenizer has learnt, as the plain values that a checkpoint holds."""


@dataclass
class TokenizerConfig:
    """Which tokenizer cuts a text; each option is a subclass with its own fields."""

    name: str = ""

    def without_chance(self) -> Self:
        """The same, always cutting alike: what counts where nothing is trained."""
        return self

    @property
    def cuts_by_chance(self) -> bool:
        """Whether training is to see a text cut otherwise each time."""
        return self != self.without_chance()

    def files(self) -> dict[str, str]:
        """Option → hash of the content of the file it names: a fingerprint knows files by what they hold."""
        return {}


@dataclass
class LearntTokenizerConfig(TokenizerConfig):
    """A tokenizer that learns its tokens from the training texts; they are the vocabulary."""

    # learn from so many texts, drawn among all; null: from all, which takes memory for all
    sample: int | None = None

    def __post_init__(self) -> None:
        if self.sample is not None and self.sample < 1:
            raise ConfigurationError(
                f"`sample` of the tokenizer {self.name} is {self.sample}; it is a number of texts to learn from. Set "
                "it to null to learn from all."
            )


class Tokenizer(ABC):
    """Cuts a text into tokens and joins tokens to a text."""

    def __init__(self, config: TokenizerConfig) -> None:
        self.config = config

    def normalize(self, text: str) -> str:
        """What is kept of a text: joining its tokens gives this back, and normalizing that changes nothing more."""
        return text

    @abstractmethod
    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text; none of them is empty."""

    @abstractmethod
    def detokenize(self, tokens: Sequence[str]) -> str:
        """The text of tokens."""


class LearntTokenizer(Tokenizer):
    """A tokenizer that knows its tokens from texts seen before; its config is a ``LearntTokenizerConfig``.

    ``learn`` sees the texts; what it gives is kept in the checkpoint and is all that a later tokenizer gets.
    """

    def __init__(self, config: TokenizerConfig, learnt: Learnt) -> None:
        """Raises ValueError, with the reason, for what ``learn`` has not given: a checkpoint may be damaged."""
        super().__init__(config)
        self.learnt = learnt

    @classmethod
    @abstractmethod
    def learn(cls, config: TokenizerConfig, texts: Iterable[str]) -> Learnt:
        """What the texts teach, always the same of the same texts; they are walked once at most."""

    @abstractmethod
    def tokens(self) -> list[str]:
        """Every token it can give, apart from what it has never seen: the vocabulary, in the order of its ids."""

    def tokenize_by_chance(self, text: str, seed: int) -> list[str]:
        """The tokens of another way to cut the text, a pure function of the seed (any whole number below 2^63)."""
        raise NotImplementedError(f"{type(self).__name__} cuts a text in one way only.")


@dataclass
class WhitespaceConfig(TokenizerConfig):
    """Words between white space."""

    name: str = "whitespace"


class WhitespaceTokenizer(Tokenizer):
    """Cuts at every run of white space (Unicode's, so also at no-break spaces) and joins with one blank.

    Lossless for texts whose words are separated by single blanks, with no white space besides.
    """

    def normalize(self, text: str) -> str:
        """Single blanks for all white space, none at the ends."""
        return " ".join(text.split())

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
        self.unit = member(CharacterUnit, self.unit, "unit")
        self.normalize = member(Normalization, self.normalize, "normalize")


class CharacterTokenizer(Tokenizer):
    """Cuts between characters and joins with nothing.

    Lossless for every text with ``normalize: none``, and for every text in normal form C with ``normalize: nfc``.
    Grapheme clusters are those of Unicode Standard Annex 29, by ``\\X`` of the regex library.
    """

    def __init__(self, config: CharactersConfig) -> None:
        super().__init__(config)
        self.compose = config.normalize is Normalization.nfc
        self.clusters = config.unit is CharacterUnit.graphemes

    def normalize(self, text: str) -> str:
        """Normal form C where that is asked."""
        return unicodedata.normalize("NFC", text) if self.compose else text

    def tokenize(self, text: str) -> list[str]:
        """The characters of a text."""
        text = self.normalize(text)
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

    def normalize(self, text: str) -> str:
        """One separator between two symbols, none at the ends."""
        return self.separator.join(self.tokenize(text))

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
    known = [field.name for field in fields(by_name[name])]
    for key in plain:
        if key not in known:
            raise ConfigurationError(f"`{key}` is no option of the tokenizer {name}. {nearest(str(key), known)}")
    return by_name[name](**plain)


def member(kind: type[Member], value: Member | str, key: str) -> Member:
    """The enum member a name stands for, as plain values carry names."""
    if isinstance(value, kind):
        return value
    if value not in kind.__members__:
        raise ConfigurationError(f"`{key}` of the tokenizer is {value!r}. {nearest(str(value), kind.__members__)}")
    return kind[str(value)]
