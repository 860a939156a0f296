"""What the configuration says about the text of either side."""

from __future__ import annotations

from dataclasses import dataclass, field

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.text.tokenizers import LearntTokenizerConfig, TokenizerConfig, WhitespaceConfig


@dataclass
class SideTextConfig:
    """What both sides have in common."""

    # how a text becomes tokens
    tokenizer: TokenizerConfig = field(default_factory=WhitespaceConfig)
    # lower-case before tokenizing; decoding gives lower-cased text
    lowercase: bool = False
    # tokens seen less often in the training text are unknown
    min_frequency: int = 1
    # keep at most so many tokens beside the four special ones; null keeps all
    max_size: int | None = None
    # source: the ids end with eos; target: the labels do, and the model learns to stop
    eos: bool = True

    def __post_init__(self) -> None:
        if self.min_frequency < 1:
            raise ConfigurationError(
                f"`text.<side>.min_frequency` is {self.min_frequency}, but counts begin at 1. "
                "Set it to 1 to keep every token."
            )
        if self.max_size is not None and self.max_size < 1:
            raise ConfigurationError(
                f"`text.<side>.max_size` is {self.max_size}: a vocabulary needs at least 1 token. "
                "Set it to null to keep all."
            )
        self._check_learnt()

    def _check_learnt(self) -> None:
        """A tokenizer that learns its tokens is asked itself how many."""
        if not self.is_learnt:
            return
        for key, default in (("min_frequency", 1), ("max_size", None)):
            value = getattr(self, key)
            if value != default:
                raise ConfigurationError(
                    f"`text.<side>.{key}` is {value}, but the tokenizer {self.tokenizer.name} learns a vocabulary of "
                    f"its own and uses all of it. Set `text.<side>.tokenizer.vocab_size` instead, and leave {key} out."
                )

    @property
    def is_learnt(self) -> bool:
        """Whether the tokenizer has to see the training texts first."""
        return isinstance(self.tokenizer, LearntTokenizerConfig)

    def folded(self, text: str) -> str:
        """The text as it is cut: lower-cased if asked."""
        return text.lower() if self.lowercase else text


@dataclass
class SourceTextConfig(SideTextConfig):
    """The text the encoder reads."""

    # the ids begin with bos
    bos: bool = False
    # reverse the tokens before eos (Sutskever et al. 2014)
    reverse: bool = False


@dataclass
class TargetTextConfig(SideTextConfig):
    """The text the decoder writes."""


@dataclass
class TextConfig:
    """How the texts of both sides are read."""

    source: SourceTextConfig = field(default_factory=SourceTextConfig)
    target: TargetTextConfig = field(default_factory=TargetTextConfig)
    # one vocabulary, and one tokenizer where it is learnt, from the texts of both sides
    joint: bool = False

    def __post_init__(self) -> None:
        if not self.joint:
            return
        for key in ("tokenizer", "lowercase", "min_frequency", "max_size"):
            source, target = (getattr(side, key) for side in (self.source, self.target))
            if key == "tokenizer":
                source, target = source.without_chance(), target.without_chance()
            if source != target:
                raise ConfigurationError(
                    f"`text.joint=true` makes one vocabulary of both sides, but `text.source.{key}` is {source} and "
                    f"`text.target.{key}` is {target}. Set both alike, or `text.joint=false`."
                )

    @property
    def is_learnt(self) -> bool:
        """Whether some tokenizer has to see the training texts first."""
        return self.source.is_learnt or self.target.is_learnt
