"""Labels that were written before cost more."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class RepetitionPenalty:
    """log p ← θ · log p for every token that the beam has written before, θ ≥ 1.

    After CTRL (Keskar et al. 2019, arXiv 1909.05858, §4.1), which divides the logits of such tokens by θ before the
    softmax. A search sees log-probabilities, which are never positive, so it multiplies, and nothing is renormalised.
    It counts where continuations are compared and in the score, not in the log-probabilities that are reported. As
    the products are never positive either, the bound of `exact` holds for them.
    """

    penalty: float

    def weighted(self, log_probs: Tensor, written: Tensor, is_exempt: Tensor | None) -> Tensor:
        """A copy in which the tokens written before are multiplied; of sentences where is_exempt (live,) none are.

        log_probs: (live, width, vocab); written: (live, width, position - 1).
        """
        if written.shape[2] == 0:
            return log_probs
        seen = log_probs.gather(2, written)
        weighted = seen * self.penalty
        if is_exempt is not None:
            weighted = torch.where(is_exempt[:, None, None], seen, weighted)
        return log_probs.scatter(2, written, weighted)  # a token written twice: one value
