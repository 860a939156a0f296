"""What every search strategy can be told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from seq2seq_lightning.errors import ConfigurationError


class ForcedLength(StrEnum):
    """Whether outputs are given a length instead of choosing one."""

    free = "free"  # the model ends its output
    reference = "reference"  # as many labels as the reference, to study length apart from content


@dataclass
class DecodingConfig:
    """Settings all searches share. Lengths count labels: the tokens and, if there is one, `eos`."""

    name: str = "search"
    max_length: int | None = None  # the longest output; null: max_length_ratio × source length + max_length_offset
    max_length_ratio: float = 2.0
    max_length_offset: int = 50  # 2 × source + 50 holds the longest SCAN output (9 words → 48 actions)
    min_length: int = 0  # `eos` is forbidden at earlier positions; 0 and 1 allow the empty output
    forced_length: ForcedLength = ForcedLength.free  # free | reference (evaluation only: it looks at the answer)
    batch_size: int = 128  # sentences searched at once

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
        if self.batch_size < 1:
            yield f"decoding.batch_size={self.batch_size} searches nothing. Set it to 1 or more."
