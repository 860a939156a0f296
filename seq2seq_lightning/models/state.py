"""What moves between positions and what stays: the values a decoder step takes and returns, all batch-first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cached_property

from torch import Tensor

CellState = dict[str, Tensor]
"""A cell's named tensors, each (rows, ...). ``hidden`` is always there and is what the cell gave out last."""

Carried = dict[str, Tensor]
"""What an attention takes from one position to the next, such as its previous weights (rows, source_time), by name."""


@dataclass(frozen=True)
class State:
    """Everything a decoder carries from one position to the next."""

    layers: tuple[CellState, ...]  # bottom layer first
    feed: Tensor | None = None  # (rows, readout): the previous readout, with input feeding
    attention: Carried | None = None  # of an attention that remembers where it looked

    def select(self, rows: Tensor) -> State:
        """The state of the given rows, in the given order; a row may be taken several times. rows: (n,) int64."""
        return self.map(lambda value: value.index_select(0, rows))

    def map(self, change: Callable[[Tensor], Tensor]) -> State:
        """The state with each of its tensors changed."""
        return State(
            tuple({name: change(value) for name, value in layer.items()} for layer in self.layers),
            None if self.feed is None else change(self.feed),
            None if self.attention is None else {name: change(value) for name, value in self.attention.items()},
        )


@dataclass(frozen=True)
class Memory:
    """What the decoder sees of the source: one entry per sentence, never expanded to rows."""

    states: Tensor  # (sentences, source_time, size)
    mask: Tensor  # (sentences, source_time) bool, True real
    keys: Tensor | None = None  # (sentences, …): states as the attention compares queries with them, made once
    context: Tensor | None = None  # (sentences, size): the fixed context of `every_step`
    values: Tensor | None = None  # (sentences, …): what the attention sums, where it is not the states
    copy_ids: Tensor | None = None  # (sentences, source_time): source words as ids of the target, for copying

    @cached_property
    def is_padding(self) -> Tensor:
        """(sentences, 1, source_time) bool, True at padding: the mask as attention needs it, made once."""
        return ~self.mask.unsqueeze(1)

    def copy_ids_of(self, rows: int) -> Tensor | None:
        """The ids of source words for rows = sentences × width, sentence-major: (rows, source_time)."""
        if self.copy_ids is None:
            return None
        width = rows // len(self.copy_ids)
        return self.copy_ids if width == 1 else self.copy_ids.repeat_interleave(width, 0)

    def select(self, sentences: Tensor) -> Memory:
        """The memory of the given sentences, in the given order. sentences: (n,) int64."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(
            self, **{name: each.index_select(0, sentences) for name, each in own.items() if each is not None}
        )


@dataclass(frozen=True)
class StepOutput:
    """What search learns from one step; the shape of ``decoding.protocol.StepOutput``."""

    log_probs: Tensor  # (rows, vocab)
    attention: Tensor | None  # (rows, source_time)
    state: State
