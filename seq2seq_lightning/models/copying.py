"""The pointer-generator: each word is generated from the vocabulary or copied from the source (See et al. 2017, §2.2).

Ids from the vocabulary's size V on are words that only the source of a sentence has. There are at most as many as
source positions, so a batch writes words from V + source_time ids, whichever of them its sentences use.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class GenerationGate(nn.Module):
    """p_gen = σ(w · [context; state; embedding] + b): how far a word is generated, not copied (eq. 8)."""

    def __init__(self, context_size: int, state_size: int, embedding_size: int) -> None:
        super().__init__()
        self.map = nn.Linear(context_size + state_size + embedding_size, 1)

    def forward(self, context: Tensor, state: Tensor, embedded: Tensor) -> Tensor:
        """The logit of p_gen. context, state, embedded: (…, their size). Returns (…)."""
        return self.map(torch.cat((context, state, embedded), dim=-1)).squeeze(-1)


def copied_mass(attention: Tensor, copy_ids: Tensor, labels: Tensor) -> Tensor:
    """Σ_i a_i over the source positions that hold the label: the probability that a copy gives it.

    attention, copy_ids: (rows, source_time); labels: (rows,). Returns (rows,), in float32 or better.
    """
    wide = attention if attention.dtype is torch.float64 else attention.float()
    return (wide * (copy_ids == labels.unsqueeze(1))).sum(dim=1)


def log_shares(gate: Tensor, mass: Tensor, is_known: Tensor) -> tuple[Tensor, Tensor]:
    """log p_gen, -inf for labels outside the vocabulary, and log[(1 − p_gen) · mass], finite however small the mass.

    gate: the logit of p_gen, mass: what a copy gives, is_known: whether the vocabulary has the label; (rows,) each.
    P(label) = p_gen · P_gen(label) + (1 − p_gen) · mass (eq. 9).
    """
    gate = gate.to(mass.dtype)
    return F.logsigmoid(gate).masked_fill(~is_known, -torch.inf), F.logsigmoid(-gate) + _log(mass)


@torch.no_grad()
def mixed_log_probs(log_probs: Tensor, gate: Tensor, attention: Tensor, copy_ids: Tensor) -> Tensor:
    """The same for every word that can be written: (rows, V + source_time), -inf where an id stands for no word.

    log_probs: (rows, V) of the generator; gate: (rows,); attention, copy_ids: (rows, source_time).
    """
    (rows, vocab), source_time = log_probs.shape, copy_ids.shape[1]
    mixed = log_probs.new_zeros(rows, vocab + source_time)
    mass = mixed.scatter_add_(1, copy_ids, attention.to(mixed.dtype)).gather(1, copy_ids)
    gate = gate.to(mixed.dtype).unsqueeze(1)
    mixed[:, vocab:] = -torch.inf
    torch.add(log_probs, F.logsigmoid(gate), out=mixed[:, :vocab])
    copied = F.logsigmoid(-gate) + _log(mass)
    return mixed.scatter_(1, copy_ids, torch.logaddexp(mixed.gather(1, copy_ids), copied))  # a word twice: one value


def _log(mass: Tensor) -> Tensor:
    """The logarithm, finite at zero, where no gradient passes."""
    return mass.clamp_min(torch.finfo(mass.dtype).tiny).log()
