"""What a decoder gives to training, and where it hears its own tokens there instead of the gold ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

from torch import Tensor

FedBack = Callable[[Tensor, Tensor, "int | Tensor"], Tensor]
"""(logits (n, vocab), rows (n,), the position of each, or of all) → the tokens (n,) to feed there; or, where tokens are
mixed, the weights (n, vocab) of a mixture of all their embeddings, through which gradients flow."""


@dataclass(frozen=True)
class Readouts:
    """What training needs of the decoder: the output layer is applied in the loss.

    Of a single position, as in a step, everything is (rows, …) instead of (batch, target_time, …).
    """

    readout: Tensor  # (batch, target_time, size)
    fed_tokens: Tensor | None  # (batch, target_time): what was fed at each position; None of a single one
    attention: Tensor | None = None  # (batch, target_time, source_time): the weights; None without an attention
    gate: Tensor | None = None  # (batch, target_time): the logit of generating, where words can be copied
    passes: int = 1  # how many times the decoder went over the target, with gradient or without
    copy_ids: Tensor | None = None  # (batch, source_time): source words as ids of the target, where they can be copied

    def at(self, *places: Tensor) -> Readouts:
        """Of some places. places: an index for the rows, or for rows and positions."""
        attention, gate = (None if value is None else value[places] for value in (self.attention, self.gate))
        ids = None if self.copy_ids is None else self.copy_ids[places[0]]
        return Readouts(self.readout[places], None, attention, gate, copy_ids=ids)


Choose = Callable[[Readouts, Tensor, "int | Tensor"], Tensor]
"""(what n rows said at the position before, rows (n,), the position of each, or of all) → as `FedBack`."""


@dataclass(frozen=True)
class Manner:
    """How own tokens come to be fed, and how far gradients reach; nothing of it changes what gold tokens alone give."""

    parallel: bool = False  # by passes over all positions at once; otherwise one position after the other
    extra_passes: int | None = None  # of `parallel`; None: until no token changes, which equals one after the other
    mixes: bool = False  # mixtures of embeddings, with gradients from one position into the one before
    truncate: int | None = None  # gradients of the carried state end at every so many positions; None: nowhere

    @property
    def mechanism(self) -> str:
        """The name of the way in which own tokens are found."""
        return "parallel" if self.parallel else "stepwise"


@dataclass(frozen=True)
class Feedback:
    """The places of a batch where the model's own token is fed, in the order of their positions."""

    rows: Tensor  # (places,)
    positions: Tensor  # (places,)
    begins: list[int]  # per position, how many places come before it; at the end, how many there are
    choose: Choose
    mixes: bool = False

    @classmethod
    def where(cls, own: Tensor, choose: Choose, mixes: bool = False) -> Feedback | None:
        """own: (batch, target_time), True where the model's own token is fed; None if that is nowhere.

        This is where the host waits for the mask.
        """
        counts = own.sum(0).tolist()
        if not any(counts):
            return None
        assert not counts[0], "the first position feeds bos"
        positions, rows = own.t().nonzero().unbind(1)
        return cls(rows, positions, [0, *accumulate(counts)], choose, mixes)

    def at(self, position: int) -> Tensor | None:
        """The rows that are fed their own token at a position, None where there is none."""
        begin, end = self.begins[position : position + 2]
        return self.rows[begin:end] if begin < end else None

    @property
    def occupied(self) -> list[int]:
        """The positions where at least one row is fed its own token."""
        return [position for position, (a, b) in enumerate(zip(self.begins, self.begins[1:], strict=False)) if a < b]
