"""What a hypothesis is worth: total log-probability ÷ length penalty + coverage term + word reward."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor


class LengthPenalty(Enum):
    """By what the total log-probability of a hypothesis of length n is divided."""

    none = "none"  # 1
    average = "average"  # n^α: α = 1 is the mean log-probability per label
    gnmt = "gnmt"  # ((5 + n) / 6)^α, Wu et al. 2016, arXiv 1609.08144, eq. 14


class LengthCount(Enum):
    """What the length n of a hypothesis is, for the length penalty and the word reward."""

    labels = "labels"  # tokens and eos
    tokens = "tokens"  # without eos; the empty output counts as one
    with_bos = "with_bos"  # tokens, eos and bos

    def of(self, labels: int, finished: bool) -> int:
        """The length of so many labels, the last of which is eos if it finished."""
        if self is LengthCount.labels:
            return labels
        if self is LengthCount.tokens:
            return labels - int(finished)
        return labels + 1


class StopRule(Enum):
    """When the search of a sentence ends, besides its maximum length."""

    first_k = "first_k"  # beam_width hypotheses have finished
    exact = "exact"  # no live hypothesis can still beat the n_best-th kept one
    top = "top"  # the best continuation of some position has finished, and n_best have


class Finishing(Enum):
    """What the hypotheses that finish at a position leave to those that go on."""

    beside = "beside"  # everything: 2 × beam_width continuations are looked at, and beam_width go on
    in_place = "in_place"  # of beam_width continuations those that finish are missing, at this position only
    narrowing = "narrowing"  # each hypothesis that finishes takes one place of the beam for good


class Unfinished(Enum):
    """What becomes of hypotheses that the maximum length cuts."""

    fallback = "fallback"  # they are returned where nothing has finished
    compete = "compete"  # they rank among those that finished


def length_divisors(penalty: LengthPenalty, alpha: float, longest: int, device: torch.device) -> Tensor:
    """The divisor for each length: (longest + 1,) float64; length 0 counts as 1."""
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


def best_possible(totals: Tensor, divisor: Tensor, most: Tensor, reward: float = 0.0) -> Tensor:
    """The most that any continuation of a live hypothesis can score.

    totals: (sentences,), so far; divisor, most: (sentences,), of the largest length its sentence may have, and that
    length. Returns (sentences,). It rises with the total, so the best live hypothesis of a sentence bounds them all.

    Proof. Let s ≤ 0 be the total so far, N the largest length, and let a continuation end with length n ≤ N and total
    S. Each further label adds a number ≤ 0, be it a log-probability or one times a repetition penalty, so S ≤ s. The
    divisors d(n) are positive and, as α ≥ 0, do not fall with n, so d(n) ≤ d(N). A number ≤ 0 grows when its divisor
    grows: S/d(n) ≤ s/d(n) ≤ s/d(N). The coverage term is a sum of logarithms of numbers ≤ 1 times β ≥ 0, and γ · n ≤
    γ · N for a reward γ ≥ 0, so the score is at most s/d(N) + γ · N. Rounded sums, products and quotients keep this
    order, so the bound holds for the floats as computed, not only for the reals.
    """
    bound = totals / divisor
    return bound + reward * most if reward else bound


class Scorer(NamedTuple):
    """The score of the settings."""

    divisors: Tensor  # (largest length + 1,)
    beta: float
    counts: LengthCount = LengthCount.labels
    reward: float = 0.0

    def scores(
        self, totals: Tensor, labels: int, coverage: Tensor | None, source_lengths: Tensor, finished: bool = True
    ) -> Tensor:
        """(live, n) totals and (live, n, source_time) coverage → (live, n)."""
        length = self.counts.of(labels, finished)
        scores = totals / self.divisors[length].to(totals.dtype)
        if coverage is not None:
            is_real = torch.arange(coverage.shape[2], device=coverage.device) < source_lengths[:, None, None]
            scores = scores + coverage_term(coverage, is_real, self.beta)
        return scores + self.reward * length if self.reward else scores

    def bound(self, totals: Tensor, maximum: Tensor) -> Tensor:
        """(live,): the most that the best live hypothesis, and so any of them, can still score.

        totals: (live,), its total so far; maximum: (live,), the maximum length of the sentence in labels.
        """
        most = maximum + int(self.counts is LengthCount.with_bos)  # without eos too, where an unfinished one has none
        return best_possible(totals, self.divisors[most].to(totals.dtype), most, self.reward)
