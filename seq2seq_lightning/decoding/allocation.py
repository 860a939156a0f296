"""How a beam is shared among hypotheses that have met more or fewer of the phrases required of them.

Dynamic beam allocation (Post and Vilar 2018, arXiv 1804.06609): hypotheses that have met the same number of required
tokens form a bank, and every bank has places in the beam, so a phrase that the model would rather not write is not
crowded out by hypotheses without it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seq2seq_lightning.decoding.constraints.required import RequiredPhrases
from seq2seq_lightning.decoding.top_k import Candidates, top_candidates


def allocated_candidates(
    log_probs: Tensor, totals: Tensor, width: int, required: RequiredPhrases, pad_id: int
) -> Candidates:
    """2 × width continuations: first those that fill the banks' places, then the best others; each by falling total.

    Looked at are the 2 × width best continuations, of each beam the best one, and of each beam the tokens that its
    unmet phrases go on with (§3.1). With C tokens required, each of the C + 1 banks has width ÷ (C + 1) places; the
    remainder goes to the fullest banks. Places that a bank cannot fill go to the best of the others: the paper gives
    them to neighbouring banks. log_probs: (live, width before, vocab); totals: (live, width before).
    """
    found = _distinct(_proposed(log_probs, totals, width, required, pad_id), log_probs.shape[2])
    met = required.after(found.tokens, found.beams).sum(2)  # (live, n): the bank of each
    banks = torch.arange(required.most + 1, device=met.device)
    is_member = met[:, :, None] == banks
    rank = is_member.cumsum(1).gather(2, met[:, :, None])[:, :, 0]  # from 1: they are ordered by total
    per_bank = torch.div(width, required.totals + 1, rounding_mode="floor")[:, None]
    remainder = (width % (required.totals + 1))[:, None]
    places = per_bank + (met > required.totals[:, None] - remainder)
    is_placed = (rank <= places) & (found.log_probs != -torch.inf)
    order = is_placed.sort(dim=1, descending=True, stable=True).indices[:, : 2 * width]
    return Candidates(*(tensor.gather(1, order) for tensor in found))


def _proposed(log_probs: Tensor, totals: Tensor, width: int, required: RequiredPhrases, pad_id: int) -> Candidates:
    """Everything that is looked at, some of it twice; what is impossible has -inf."""
    usual = top_candidates(log_probs, totals, 2 * width)
    own_best = log_probs.argmax(2, keepdim=True)
    more = torch.cat([required.next_tokens(pad_id), own_best], dim=2)  # (live, width before, phrases + 1)
    beams = torch.arange(more.shape[1], device=more.device)[:, None].expand_as(more)
    values = totals[:, :, None] + log_probs.gather(2, more)
    joined = zip(usual, (values.flatten(1), beams.flatten(1), more.flatten(1)), strict=True)
    return Candidates(*(torch.cat(pair, dim=1) for pair in joined))


def _distinct(found: Candidates, vocab: int) -> Candidates:
    """Each continuation once, by falling total, then by beam and token; what was there before has -inf."""
    keys = found.beams * vocab + found.tokens
    keys, order = keys.sort(dim=1, stable=True)
    log_probs, beams, tokens = (tensor.gather(1, order) for tensor in found)
    is_repeat = torch.zeros_like(keys, dtype=torch.bool)
    is_repeat[:, 1:] = keys[:, 1:] == keys[:, :-1]
    log_probs = log_probs.masked_fill(is_repeat, -torch.inf)
    order = log_probs.sort(dim=1, descending=True, stable=True).indices
    return Candidates(*(tensor.gather(1, order) for tensor in (log_probs, beams, tokens)))
