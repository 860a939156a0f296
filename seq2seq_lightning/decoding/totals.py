"""What hypotheses have collected on their way: the model's own log-probability, and what search makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor


class Totals(NamedTuple):
    """Three sums over the labels of each hypothesis; one tensor, three times, where nothing makes them differ."""

    log_probs: Tensor  # the model's own
    scored: Tensor  # with the repetition penalty: what is divided by the length penalty
    compared: Tensor  # with the diversity penalty too: what continuations are chosen by

    def map(self, change: Callable[[Tensor], Tensor]) -> Totals:
        """The same change of each, done once where they are one."""
        log_probs = change(self.log_probs)
        scored = log_probs if self.scored is self.log_probs else change(self.scored)
        return Totals(log_probs, scored, scored if self.compared is self.scored else change(self.compared))

    def gather(self, places: Tensor) -> Totals:
        """Those at these places (live, n) of (live, width)."""
        return self.map(lambda totals: totals.gather(1, places))


def same_totals(totals: Tensor) -> Totals:
    """Where nothing has made them differ."""
    return Totals(totals, totals, totals)


def with_labels(before: Tensor, log_probs: Tensor, beams: Tensor, tokens: Tensor) -> Tensor:
    """Totals (live, width) plus the log-probabilities (live, width, vocab) of these labels of these beams (live, n)."""
    return before.gather(1, beams) + labels_alone(log_probs, beams, tokens)


def labels_alone(log_probs: Tensor, beams: Tensor, tokens: Tensor) -> Tensor:
    """(live, n): log_probs (live, width, vocab) of these labels of these beams."""
    return log_probs.flatten(1).gather(1, beams * log_probs.shape[2] + tokens)
