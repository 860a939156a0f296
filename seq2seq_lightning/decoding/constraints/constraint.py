"""The interface of a constraint, for search strategies and for new constraints."""

from __future__ import annotations

from typing import Self

from torch import Tensor


class Constraint:
    """Forbids continuations at one position after the other; what it has to remember, it keeps per beam.

    Every tensor in it is batch-first and either per sentence (live, ...) or per beam (live, width, ...). A constraint
    that is not asked for is not there, so it costs nothing. Search never changes one in place.
    """

    @property
    def reads_written(self) -> bool:
        """Whether `forbid` needs the labels of each beam so far: they are kept only if some constraint does."""
        return False

    def forbid(self, log_probs: Tensor, written: Tensor | None, position: int) -> None:
        """Write -inf over what is forbidden at this position (from 1).

        log_probs: (live, width, vocab), changed in place, where `pad` is forbidden already; written: (live, width,
        position - 1), the labels so far, if it reads them.
        """
        raise NotImplementedError

    def advance(self, tokens: Tensor, parents: Tensor | None) -> Self:
        """The constraint after these labels: (live, width) tokens, each continuing the beam `parents` (live, width) of
        the position before; None: each its own."""
        return self

    def select(self, sentences: Tensor) -> Self:
        """The constraint of these sentences, in this order; one may appear several times."""
        return self
