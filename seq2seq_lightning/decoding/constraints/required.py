"""Phrases that every output must contain: lexical constraints (Post and Vilar 2018, arXiv 1804.06609).

Here is how far each beam has come; how a beam is shared among them is in `decoding/allocation.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seq2seq_lightning.decoding.constraints.constraint import Constraint
from seq2seq_lightning.decoding.protocol import SpecialIds

_FILL = -1  # no token: fills phrases up on the right


@dataclass(frozen=True)
class RequiredPhrases(Constraint):
    """Forbids `eos` until the beam contains every phrase, its tokens side by side.

    Each phrase is followed by itself as Knuth, Morris and Pratt's automaton does, so phrases may overlap, and an
    occurrence that begins inside a broken one is seen.
    """

    phrases: Tensor  # (live, phrases, longest)
    lengths: Tensor  # (live, phrases); 0 where a sentence has fewer
    following: Tensor  # (live, phrases, longest²): progress p, then the token at place q → progress, at p · longest + q
    totals: Tensor  # (live,) tokens required in all
    most: int  # the largest of them
    progress: Tensor  # (live, width, phrases) tokens met; a phrase that is complete stays so
    eos_id: int

    def forbid(self, log_probs: Tensor, written: Tensor | None, position: int) -> None:
        """`eos` where something is missing."""
        is_missing = (self.progress < self.lengths[:, None]).any(2)
        log_probs[:, :, self.eos_id].masked_fill_(is_missing, -torch.inf)

    def after(self, tokens: Tensor, parents: Tensor | None) -> Tensor:
        """(live, n, phrases): the progress after tokens (live, n) that continue these beams (live, n)."""
        before = self.progress
        if parents is not None:
            before = before.gather(1, parents[:, :, None].expand(-1, -1, before.shape[2]))
        is_here = self.phrases[:, None] == tokens[:, :, None, None]
        places = is_here.int().argmax(3)  # the first place of the token in the phrase
        longest = self.phrases.shape[2]
        index = before.clamp(max=longest - 1) * longest + places
        table = self.following[:, None].expand(-1, tokens.shape[1], -1, -1)
        moved = table.gather(3, index[..., None])[..., 0].masked_fill(~is_here.any(3), 0)
        return torch.where(before == self.lengths[:, None], before, moved)

    def next_tokens(self, pad_id: int) -> Tensor:
        """(live, width, phrases): the token each phrase goes on with; pad where it is complete."""
        longest = self.phrases.shape[2]
        phrases = self.phrases[:, None].expand(-1, self.progress.shape[1], -1, -1)
        tokens = phrases.gather(3, self.progress.clamp(max=longest - 1)[..., None])[..., 0]
        return tokens.masked_fill(self.progress >= self.lengths[:, None], pad_id)

    def advance(self, tokens: Tensor, parents: Tensor | None) -> RequiredPhrases:
        """Note the progress."""
        return replace(self, progress=self.after(tokens, parents))

    def select(self, sentences: Tensor) -> RequiredPhrases:
        """Only these sentences."""
        return replace(
            self,
            phrases=self.phrases[sentences],
            lengths=self.lengths[sentences],
            following=self.following[sentences],
            totals=self.totals[sentences],
            progress=self.progress[sentences],
        )


def required_phrases(
    required: Sequence[Sequence[Sequence[int]]], ids: SpecialIds, device: torch.device
) -> RequiredPhrases | None:
    """Of the phrases of each sentence, none of them empty; None when nothing is required. Repeated ones count once."""
    distinct = [list(dict.fromkeys(map(tuple, phrases))) for phrases in required]
    count, longest = max(map(len, distinct)), max((len(each) for phrases in distinct for each in phrases), default=0)
    if count == 0:
        return None
    filled = [[*phrases, *[()] * (count - len(phrases))] for phrases in distinct]
    lengths = torch.tensor([[len(phrase) for phrase in phrases] for phrases in filled], device=device)
    tokens = [[[*phrase, *[_FILL] * (longest - len(phrase))] for phrase in phrases] for phrases in filled]
    following = [[_following(phrase, longest) for phrase in phrases] for phrases in filled]
    totals = lengths.sum(1)
    return RequiredPhrases(
        phrases=torch.tensor(tokens, device=device),
        lengths=lengths,
        following=torch.tensor(following, device=device),
        totals=totals,
        most=max(sum(map(len, phrases)) for phrases in distinct),
        progress=torch.zeros((len(filled), 1, count), dtype=torch.int64, device=device),
        eos_id=ids.eos,
    )


def _following(phrase: Sequence[int], longest: int) -> list[int]:
    """At p · longest + q: the longest beginning of the phrase that ends its first p tokens and the token at place q."""
    table = [0] * longest**2
    for progress in range(len(phrase)):
        for place, token in enumerate(phrase):
            seen = [*phrase[:progress], token]
            ends = (n for n in range(len(seen), 0, -1) if list(phrase[:n]) == seen[len(seen) - n :])
            table[progress * longest + place] = next(ends, 0)
    return table
