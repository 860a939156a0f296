"""The first tokens of an output, given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from seq2seq_lightning.decoding.protocol import SpecialIds


@dataclass(frozen=True)
class ForcedPrefix:
    """The tokens each sentence begins with: no other constraint forbids them, and their log-probabilities count.

    So a search with a prefix is the search of the model after that prefix. Other constraints read it as written.
    """

    tokens: Tensor  # (live, longest), filled with pad
    lengths: Tensor  # (live,)

    @property
    def longest(self) -> int:
        """Positions after this one are free everywhere."""
        return self.tokens.shape[1]

    def inside(self, position: int) -> Tensor | None:
        """(live,): whether the token at this position is given; None: nowhere."""
        return position <= self.lengths if position <= self.longest else None

    def given(self, log_probs: Tensor, position: int) -> Tensor:
        """(live, width, 1): the log-probability of the given token, before anything is forbidden."""
        return log_probs.gather(2, self._places(log_probs, position))

    def force(self, log_probs: Tensor, given: Tensor, position: int) -> None:
        """Forbid everything but the given token, which has its log-probability; in place."""
        inside, places = (position <= self.lengths)[:, None, None], self._places(log_probs, position)
        kept = torch.where(inside, given, log_probs.gather(2, places))
        log_probs.masked_fill_(inside, -torch.inf)
        log_probs.scatter_(2, places, kept)

    def select(self, sentences: Tensor) -> Self:
        """The prefixes of these sentences."""
        return type(self)(self.tokens[sentences], self.lengths[sentences])

    def _places(self, log_probs: Tensor, position: int) -> Tensor:
        return self.tokens[:, position - 1, None, None].expand(-1, log_probs.shape[1], -1)


def forced_prefix(prefixes: Sequence[Sequence[int]], ids: SpecialIds, device: torch.device) -> ForcedPrefix | None:
    """Of one sequence of tokens per sentence, empty where free; None when all are."""
    longest = max(map(len, prefixes))
    if longest == 0:
        return None
    rows = [[*prefix, *[ids.pad] * (longest - len(prefix))] for prefix in prefixes]
    lengths = torch.tensor([len(prefix) for prefix in prefixes], device=device)
    return ForcedPrefix(torch.tensor(rows, device=device), lengths)
