"""What a hypothesis is worth: total log-probability ÷ length penalty + coverage term."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor


class LengthPenalty(Enum):
    """By what the total log-probability of n labels, `eos` counted, is divided."""

    none = "none"  # 1
    average = "average"  # n^α: α = 1 is the mean log-probability per label
    gnmt = "gnmt"  # ((5 + n) / 6)^α, Wu et al. 2016, arXiv 1609.08144, eq. 14


class StopRule(Enum):
    """When the search of a sentence ends, besides its maximum length."""

    first_k = "first_k"  # beam_width hypotheses have finished
    exact = "exact"  # no live hypothesis can still beat the n_best-th kept one


def length_divisors(penalty: LengthPenalty, alpha: float, longest: int, device: torch.device) -> Tensor:
    """The divisor for each number of labels: (longest + 1,) float64; entry 0 is never used."""
    lengths = torch.arange(longest + 1, dtype=torch.float64, device=device).clamp(min=1)
    if penalty is LengthPenalty.none:
        return torch.ones_like(lengths)
    if penalty is LengthPenalty.average:
        return lengths**alpha
    if penalty is LengthPenalty.gnmt:
        return ((5 + lengths) / 6) ** alpha
    raise AssertionError(f"no divisor is written for {penalty}")


def coverage_term(coverage: Tensor, is_real: Tensor, beta: float) -> Tensor:
    """β Σ_i log min(Σ_t a_ti, 1), never positive (Wu et al. 2016, eq. 14).

    coverage: (..., source_time), Σ_t a_ti over every label so far; is_real: the same shape or broadcast to it, False
    on padding, which takes no part. A real position whose weights all underflowed counts as the smallest float.
    Returns (...).
    """
    covered = coverage.clamp(min=torch.finfo(coverage.dtype).tiny, max=1.0)
    return beta * covered.log().masked_fill(~is_real, 0.0).sum(-1)


def best_possible(log_probs: Tensor, divisor: Tensor) -> Tensor:
    """The most that any continuation of a live hypothesis can score.

    log_probs: (sentences,), the total so far; divisor: (sentences,), of the sentence's own maximum length.
    Returns (sentences,). It rises with the total, so the best live hypothesis of a sentence bounds them all.

    Proof. Let s ≤ 0 be the total so far, N the maximum length, and let a continuation end with n ≤ N labels and total
    S. Each further label adds a log-probability ≤ 0, so S ≤ s. The divisors d(n) are positive and, as α ≥ 0, do not
    fall with n, so d(n) ≤ d(N). A number ≤ 0 grows when its divisor grows: S/d(n) ≤ s/d(n) ≤ s/d(N). The coverage
    term is a sum of logarithms of numbers ≤ 1 times β ≥ 0, so adding it cannot exceed s/d(N). Rounded sums and
    quotients keep this order, so the bound holds for the floats as computed, not only for the reals. A bonus for
    length would break it.
    """
    return log_probs / divisor


class Scorer(NamedTuple):
    """The score of the settings."""

    divisors: Tensor  # (longest + 1,)
    beta: float

    def scores(self, log_probs: Tensor, labels: int, coverage: Tensor | None, source_lengths: Tensor) -> Tensor:
        """(live, n) totals and (live, n, source_time) coverage → (live, n)."""
        scores = log_probs / self.divisors[labels].to(log_probs.dtype)
        if coverage is None:
            return scores
        is_real = torch.arange(coverage.shape[2], device=coverage.device) < source_lengths[:, None, None]
        return scores + coverage_term(coverage, is_real, self.beta)

    def bound(self, log_probs: Tensor, maximum: Tensor) -> Tensor:
        """(live,): the most that the best live hypothesis, and so any of them, can still score.

        log_probs: (live,), its total so far; maximum: (live,), the maximum length of the sentence.
        """
        return best_possible(log_probs, self.divisors[maximum].to(log_probs.dtype))
