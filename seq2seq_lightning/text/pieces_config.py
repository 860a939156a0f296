"""The settings of subwords by sentencepiece."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import Enum
from hashlib import sha256
from pathlib import Path
from typing import ClassVar

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.text.tokenizers import LearntTokenizerConfig, member

BLANK = "\u2581"  # ▁, how sentencepiece writes a blank
_SHORTEST = 5  # the special tokens and one more


class TextNormalization(Enum):
    """What sentencepiece does to a text first; its names."""

    identity = "identity"
    nfkc = "nfkc"
    nmt_nfkc = "nmt_nfkc"
    nfkc_cf = "nfkc_cf"
    nmt_nfkc_cf = "nmt_nfkc_cf"


@dataclass
class PiecesConfig(LearntTokenizerConfig):
    """Subwords learnt by sentencepiece, or taken from one of its model files."""

    # entries of the vocabulary, the four special ones included
    vocab_size: int = 8000
    # share of the characters of the training text that get a token of their own; rarer ones are unknown
    character_coverage: float = 1.0
    # spell unknown characters as the bytes of their UTF-8 form: nothing is unknown then
    byte_fallback: bool = False
    # identity | nfkc: compatible characters become one | nmt_nfkc: and all blanks | nfkc_cf, nmt_nfkc_cf: and the case
    normalization: TextNormalization = TextNormalization.identity
    # one blank for several, none at the ends
    collapse_blanks: bool = True
    # strings that always are one token
    symbols: list[str] = field(default_factory=list)
    # a sentencepiece model (*.model) to cut with, instead of learning one
    model_file: str | None = None

    kind: ClassVar[str]  # sentencepiece's name of the model
    chance: ClassVar[str]  # the option for cutting by chance

    def __post_init__(self) -> None:
        super().__post_init__()
        self.normalization = member(TextNormalization, self.normalization, "normalization")
        if self.vocab_size < _SHORTEST:
            raise ConfigurationError(
                f"`vocab_size` of the tokenizer {self.name} is {self.vocab_size}; the four special tokens are among "
                f"them, so set it to {_SHORTEST} or more."
            )
        if not 0.0 < self.character_coverage <= 1.0:
            raise ConfigurationError(
                f"`character_coverage` of the tokenizer {self.name} is {self.character_coverage}; it is a share of "
                "characters above 0 and up to 1. Set it to 1.0 to cover all, or 0.9995 for scripts of thousands."
            )
        if any(not symbol or symbol.isspace() for symbol in self.symbols) or len({*self.symbols}) < len(self.symbols):
            raise ConfigurationError(
                f"`symbols` of the tokenizer {self.name} is {self.symbols}; list strings that are not blank, each once."
            )
        self._check_model_file()

    def _check_model_file(self) -> None:
        """A model that is there already has its own answers."""
        if self.model_file is None:
            return
        defaults = type(self)()
        for key in (each.name for each in fields(PiecesConfig) if each.name not in ("name", "model_file")):
            if getattr(self, key) != getattr(defaults, key):
                raise ConfigurationError(
                    f"`{key}` of the tokenizer {self.name} changes nothing, because `model_file` is "
                    f"{self.model_file!r}, which has been learnt. Leave it out, or set `model_file=null`."
                )

    def files(self) -> dict[str, str]:
        """The model, if it is from a file."""
        return {} if self.model_file is None else {"model_file": sha256(self.model_bytes()).hexdigest()}

    def model_bytes(self) -> bytes:
        """What the model file holds; ConfigurationError where it cannot be read."""
        assert self.model_file is not None
        path = Path(self.model_file).expanduser()
        try:
            return path.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                f"`model_file` of the tokenizer {self.name} is {self.model_file}, but {path.absolute()} cannot be "
                f"read: {error.strerror}. Give the path of a sentencepiece model (*.model)."
            ) from error


@dataclass
class BPEConfig(PiecesConfig):
    """Byte-pair encoding: frequent pairs become one, step by step (Sennrich et al. 2016, arXiv 1508.07909)."""

    name: str = "bpe"
    # training sees each merge left out with this probability (BPE-dropout, Provilkov et al. 2020); 0: never
    dropout: float = 0.0

    kind: ClassVar[str] = "bpe"
    chance: ClassVar[str] = "dropout"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.dropout <= 1.0:
            raise ConfigurationError(
                f"`dropout` of the tokenizer bpe is {self.dropout}; it is a probability. The paper has 0.1."
            )

    def without_chance(self) -> BPEConfig:
        """The same without dropout."""
        return replace(self, dropout=0.0)


@dataclass
class UnigramConfig(PiecesConfig):
    """The most probable pieces of a unigram model (Kudo 2018, arXiv 1804.10959)."""

    name: str = "unigram"
    # training sees cuts drawn with probability to this power (subword regularization); null: the most probable one
    alpha: float | None = None

    kind: ClassVar[str] = "unigram"
    chance: ClassVar[str] = "alpha"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha is not None and self.alpha < 0.0:
            raise ConfigurationError(
                f"`alpha` of the tokenizer unigram is {self.alpha}; it is an exponent of 0 (any cut alike) or more, or "
                "null for the most probable cut. The paper has 0.1 to 0.5."
            )

    def without_chance(self) -> UnigramConfig:
        """The same without drawing."""
        return replace(self, alpha=None)
