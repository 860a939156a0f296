"""The linear recurrence of cells whose gates see no state: h_t = (1 − z_t)∘h_{t−1} + z_t∘g_t for a whole sequence.

On an accelerator the positions are computed in parallel, in log space as Feng et al. 2024 (arXiv 2410.01201, appendix
B) do, after Heinsen 2023 (arXiv 2311.06281). The state before the first position may have any sign there: it enters
beside the scan, decayed. On a CPU nothing is gained by parallel positions; there one pass writes them in order.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import softplus

CHUNK = 64  # positions whose decays are summed at once: sums of hundreds of logarithms would lose digits


def scan(renewal: Tensor, candidate: Tensor, start: Tensor) -> Tensor:
    """All states of h_t = (1 − z)∘h_{t−1} + z∘g(v), z = σ(renewal), v the candidate.

    renewal, candidate: (batch, time, size); start: (batch, size), of any sign. Returns (batch, time, size).
    """
    if renewal.device.type == "cpu":
        return in_order(renewal, candidate, start)
    return in_log_space(renewal, candidate, start)


def in_order(renewal: Tensor, candidate: Tensor, start: Tensor) -> Tensor:
    """``scan`` position by position, without an entry per position in autograd's graph."""
    return _InOrder.apply(torch.sigmoid(renewal), positive(candidate), start)


def in_log_space(renewal: Tensor, candidate: Tensor, start: Tensor) -> Tensor:
    """``scan`` with all positions of a chunk at once: Σ_s exp(log z_s g_s + Σ_{s<r≤t} log (1 − z_r)), and the start."""
    decays, values = -softplus(renewal), log_positive(candidate) - softplus(-renewal)
    found = []
    for decay, value in zip(decays.split(CHUNK, 1), values.split(CHUNK, 1), strict=True):
        total = decay.cumsum(1)
        entered = torch.exp(total + torch.logcumsumexp(value - total, 1))
        found.append(entered + torch.exp(total) * start.unsqueeze(1))
        start = found[-1][:, -1]
    return torch.cat(found, 1)


def positive(values: Tensor) -> Tensor:
    """g(v) = v + 0.5 from zero on, σ(v) below: what a candidate becomes, so that it has a logarithm."""
    return torch.where(values >= 0, values + 0.5, torch.sigmoid(values))


def log_positive(values: Tensor) -> Tensor:
    """log g(v)."""
    return torch.where(values >= 0, (values.relu() + 0.5).log(), -softplus(-values))


class _InOrder(torch.autograd.Function):
    """h_t = h_{t−1} + z_t∘(g_t − h_{t−1}), and its gradient from the last position to the first."""

    @staticmethod
    def forward(ctx: Any, gate: Tensor, value: Tensor, start: Tensor) -> Tensor:
        states, before = torch.empty_like(value), start
        for state, new, share in zip(states.unbind(1), value.unbind(1), gate.unbind(1), strict=True):
            torch.lerp(before, new, share, out=state)
            before = state
        ctx.save_for_backward(gate, value, start, states)
        return states

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        gate, value, start, states = ctx.saved_tensors
        kept, whole = (1 - gate).unbind(1), torch.empty_like(states)
        whole.copy_(gradient)
        reached = whole.unbind(1)  # the whole gradient of each state, what later states pass back included
        for position in range(len(reached) - 2, -1, -1):
            reached[position].addcmul_(kept[position + 1], reached[position + 1])
        before = torch.cat((start.unsqueeze(1), states[:, :-1]), 1)
        return whole * (value - before), whole * gate, kept[0] * reached[0]
