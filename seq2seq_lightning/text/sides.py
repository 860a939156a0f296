"""What the configuration says about the text of either side."""

from __future__ import annotations

from dataclasses import dataclass, field

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.text.tokenizers import TokenizerConfig, WhitespaceConfig


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
