"""Tokens and phrases that are never written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2seq_lightning.decoding.constraints.constraint import Constraint
from seq2seq_lightning.decoding.protocol import SpecialIds

_ANYTHING = -1  # no label; fills phrases up on the left, where it stands for any label, or for none before the first


@dataclass(frozen=True)
class BannedPhrases(Constraint):
    """Forbids the last token of each phrase where the tokens before it have just been written."""

    tokens: Tensor  # (singles,) phrases of one token
    heads: Tensor  # (phrases, longest - 1), of the longer ones all but the last token, aligned right
    ends: Tensor  # (phrases,) their last tokens
    pad_id: int

    @property
    def reads_written(self) -> bool:
        """Longer phrases depend on what was written; single tokens do not."""
        return len(self.ends) > 0

    def forbid(self, log_probs: Tensor, written: Tensor | None, position: int) -> None:
        """Single tokens always, the end of a phrase after its head."""
        log_probs.index_fill_(2, self.tokens, -torch.inf)
        if written is None or not len(self.ends):
            return
        longest = self.heads.shape[1]
        last = written[:, :, max(0, written.shape[2] - longest) :]
        last = F.pad(last, (longest - last.shape[2], 0), value=_ANYTHING)
        follows = ((last[:, :, None] == self.heads) | (self.heads == _ANYTHING)).all(3)
        ends = self.ends.expand(follows.shape).masked_fill(~follows, self.pad_id)  # pad is forbidden anyway
        log_probs.scatter_(2, ends, -torch.inf)


def banned_phrases(phrases: Sequence[Sequence[int]], ids: SpecialIds, device: torch.device) -> BannedPhrases:
    """The constraint of these phrases, none of them empty."""
    longer = [list(phrase) for phrase in phrases if len(phrase) > 1]
    longest = max(map(len, longer), default=1) - 1
    heads = [[_ANYTHING] * (longest - len(phrase) + 1) + phrase[:-1] for phrase in longer]
    return BannedPhrases(
        tokens=torch.tensor([phrase[0] for phrase in phrases if len(phrase) == 1], dtype=torch.int64, device=device),
        heads=torch.tensor(heads, dtype=torch.int64, device=device).reshape(len(longer), longest),
        ends=torch.tensor([phrase[-1] for phrase in longer], dtype=torch.int64, device=device),
        pad_id=ids.pad,
    )
