"""How short and how long an output may be, sentence by sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seq2seq_lightning.decoding.config import DecodingConfig
from seq2seq_lightning.decoding.protocol import SpecialIds
from seq2seq_lightning.errors import ConfigurationError


@dataclass(frozen=True)
class LengthLimits:
    """The lengths allowed, in labels: the tokens and `eos`. Scores are the model's own, never renormalised."""

    minimum: Tensor  # (sentences,) int64: eos is forbidden before this position
    maximum: Tensor  # (sentences,) int64: the last position
    forced: Tensor  # (sentences,) bool: nothing but eos at the last position
    longest: int  # the largest maximum
    endings: frozenset[int]  # every maximum, known without asking the device
    latest_minimum: int  # from this position on, eos is free everywhere
    any_forced: bool
    with_eos: bool = True  # False: eos is forbidden everywhere, outputs end at their maximum

    def select(self, sentences: Tensor) -> LengthLimits:
        """The limits of these sentences."""
        return replace(
            self, minimum=self.minimum[sentences], maximum=self.maximum[sentences], forced=self.forced[sentences]
        )

    def check_prefixes(self, lengths: Sequence[int]) -> None:
        """Refuse a forced prefix that leaves no room (lengths: tokens per sentence); before the search only."""
        forced, maxima = self.forced.tolist(), self.maximum.tolist()
        for place, (length, most, ends) in enumerate(zip(lengths, maxima, forced, strict=True)):
            room = most - int(ends and self.with_eos)
            if length > room:
                raise ConfigurationError(
                    f"The prefix of sentence {place} of the batch has {length} tokens, but its output has room for "
                    f"{room}. Shorten it, or raise decoding.max_length."
                )

    def constrain(self, log_probs: Tensor, position: int, ids: SpecialIds) -> None:
        """Write -inf where a token is forbidden at this position (from 1); `pad` and `bos` always are.

        log_probs: (sentences, width, vocab), changed in place.
        """
        log_probs[:, :, ids.pad] = -torch.inf
        log_probs[:, :, ids.bos] = -torch.inf
        if not self.with_eos:
            log_probs[:, :, ids.eos] = -torch.inf
            return
        if position < self.latest_minimum:
            log_probs[:, :, ids.eos].masked_fill_((position < self.minimum)[:, None], -torch.inf)
        if self.any_forced and position in self.endings:
            ends = self.forced & (position == self.maximum)
            eos = log_probs[:, :, ids.eos].clone()
            log_probs.masked_fill_(ends[:, None, None], -torch.inf)
            log_probs[:, :, ids.eos] = eos


def length_limits(
    config: DecodingConfig,
    source_lengths: Tensor,
    forced_lengths: Sequence[int | None] | Tensor | None,
    device: torch.device,
    with_eos: bool = True,
) -> LengthLimits:
    """The limits the settings give each sentence; a forced length replaces both of its limits.

    source_lengths: (sentences,) int64 on the CPU; forced_lengths: labels per sentence, `eos` counted, None where free.
    """
    lengths = source_lengths.tolist()
    forced = _checked_forced(forced_lengths, len(lengths))
    maxima = [limit or _maximum(config, length) for length, limit in zip(lengths, forced, strict=True)]
    minima = [limit or config.min_length for limit in forced]
    for length, least, most in zip(lengths, minima, maxima, strict=True):
        if least > most:
            raise ConfigurationError(
                f"decoding.min_length={least} is larger than {most}, the maximum that decoding.max_length_ratio="
                f"{config.max_length_ratio} and decoding.max_length_offset={config.max_length_offset} give a source "
                f"of length {length}. Lower the first, raise one of the others, or set decoding.max_length."
            )
    return LengthLimits(
        minimum=torch.tensor(minima, device=device),
        maximum=torch.tensor(maxima, device=device),
        forced=torch.tensor([limit is not None or config.eos_at_maximum for limit in forced], device=device),
        longest=max(maxima),
        endings=frozenset(maxima),
        latest_minimum=max(minima),
        any_forced=config.eos_at_maximum or any(limit is not None for limit in forced),
        with_eos=with_eos,
    )


def _maximum(config: DecodingConfig, source_length: int) -> int:
    if config.max_length is not None:
        return config.max_length
    return max(1, int(config.max_length_ratio * source_length) + config.max_length_offset)


def _checked_forced(forced_lengths: Sequence[int | None] | Tensor | None, sentences: int) -> list[int | None]:
    if forced_lengths is None:
        return [None] * sentences
    if isinstance(forced_lengths, Tensor):
        forced_lengths = forced_lengths.tolist()
    if len(forced_lengths) != sentences:
        raise ConfigurationError(
            f"{len(forced_lengths)} forced lengths for {sentences} sentences. Give one per sentence, None where free."
        )
    for place, length in enumerate(forced_lengths):
        if length is not None and length < 1:
            raise ConfigurationError(
                f"The forced length of sentence {place} of the batch is {length}. Lengths count eos: give 1 or more."
            )
    return list(forced_lengths)
