"""What every search strategy can be told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from seq2seq_lightning.decoding.unknown import ReplaceUnknown
from seq2seq_lightning.errors import ConfigurationError


class ForcedLength(StrEnum):
    """Whether outputs are given a length instead of choosing one."""

    free = "free"  # the model ends its output
    reference = "reference"  # as many labels as the reference, to study length apart from content


class SearchPrecision(StrEnum):
    """The numbers a search computes with."""

    as_trained = "as_trained"  # those of the weights
    bf16 = "bf16"  # weights, states and products in bfloat16; log-probabilities and scores in float32


@dataclass
class DecodingConfig:
    """Settings all searches share. Lengths count labels: the tokens and, if there is one, `eos`."""

    name: str = "search"
    max_length: int | None = None  # the longest output; null: max_length_ratio × source length + max_length_offset
    max_length_ratio: float = 2.0
    max_length_offset: int = 50  # 2 × source + 50 holds the longest SCAN output (9 words → 48 actions)
    min_length: int = 0  # `eos` is forbidden at earlier positions; 0 and 1 allow the empty output
    eos_at_maximum: bool = False  # nothing but `eos` at the maximum length, instead of cutting the output there
    forced_length: ForcedLength = ForcedLength.free  # free | reference (evaluation only: it looks at the answer)
    no_repeat_ngram: int = 0  # no n-gram of this size is written twice; 0: off
    repetition_penalty: float = 1.0  # log p of a token written before is multiplied by this; 1: off; CTRL: 1.2
    banned: list[str] = field(default_factory=list)  # words or phrases never written, as the target side cuts them
    replace_unknown: ReplaceUnknown = ReplaceUnknown.none  # none | copy: the source word that attention looked at
    batch_size: int = 128  # sentences searched at once
    precision: SearchPrecision = SearchPrecision.as_trained  # as_trained (float32 or float64) | bf16

    def __post_init__(self) -> None:
        """Refuse what cannot be run, all of it at once."""
        problems = list(self.problems())
        if problems:
            raise ConfigurationError("\n".join(problems))

    def problems(self) -> Iterator[str]:
        """One sentence per setting, or pair of settings, that cannot be run."""
        if self.max_length is not None and self.max_length < 1:
            yield f"decoding.max_length={self.max_length} leaves no room for any label. Set it to 1 or more, or null."
        if self.max_length_ratio < 0:
            yield f"decoding.max_length_ratio={self.max_length_ratio} is negative. Set it to 0 or more."
        if self.max_length_ratio == 0 and self.max_length_offset < 1:
            yield (
                f"decoding.max_length_offset={self.max_length_offset} with decoding.max_length_ratio=0 leaves no room "
                "for any label. Raise one of them, or set decoding.max_length."
            )
        if self.min_length < 0:
            yield f"decoding.min_length={self.min_length} is negative. Set it to 0 or more."
        if self.max_length is not None and self.min_length > self.max_length:
            yield (
                f"decoding.min_length={self.min_length} is larger than decoding.max_length={self.max_length}. "
                "Lower the first or raise the second."
            )
        if self.no_repeat_ngram < 0:
            yield f"decoding.no_repeat_ngram={self.no_repeat_ngram} is negative. Set it to 1 or more, or to 0 for off."
        if not self.repetition_penalty >= 1.0:
            yield (
                f"decoding.repetition_penalty={self.repetition_penalty} would reward repetition. "
                "Set it to 1 (off) or more."
            )
        if not all(phrase.strip() for phrase in self.banned):
            yield "decoding.banned holds an empty phrase. Leave it out."
        if self.batch_size < 1:
            yield f"decoding.batch_size={self.batch_size} searches nothing. Set it to 1 or more."

    def serves_required(self) -> bool:
        """Whether the strategy can meet required phrases."""
        return False
