"""What search and a model say to each other, and what search gives back. Nothing here knows a network.

Anything that answers `step` can be searched: a decoder, an ensemble, a table of transition probabilities.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Utility = Callable[[int, Sequence[Sequence[int]]], NDArray[np.float64]]
"""(a sentence's place in the batch, different outputs of it) → (outputs, outputs): what output i is worth, where output
j is right; larger is better."""


class State(Protocol):
    """All a decoder carries from one position to the next; every tensor in it is batch-first, one entry per row."""

    def select(self, rows: Tensor, /) -> Self:
        """The state of these rows, in this order; a row may appear several times or not at all."""
        ...


class Memory(Protocol):
    """What the decoder looks at, one entry per sentence: search never expands it to rows."""

    def select(self, sentences: Tensor, /) -> Self:
        """The memory of these sentences, in this order."""
        ...


class StepOutput(Protocol):
    """The answer to one step."""

    @property
    def log_probs(self) -> Tensor:
        """(rows, vocab), normalised and fresh: search writes -inf over the tokens it forbids."""
        ...

    @property
    def attention(self) -> Tensor | None:
        """(rows, source_time), summing to one over real source positions; None for a decoder without attention."""
        ...

    @property
    def state(self) -> Any:
        """The `State` after the step, one entry per row."""
        ...


class StepDecoder(Protocol):
    """The whole of what search may ask of a model."""

    def step(self, tokens: Tensor, state: Any, memory: Any) -> StepOutput:
        """Advance every row by one position.

        tokens: (rows,), the labels fed, rows = sentences × width, sentence-major; state: a `State` of the same rows;
        memory: a `Memory` of the sentences. The width is rows ÷ sentences and may change from step to step.
        """
        ...


@dataclass(frozen=True)
class SpecialIds:
    """The ids search has to know; the vocabulary owns them."""

    pad: int
    bos: int
    eos: int


@dataclass(frozen=True)
class Details:
    """What a hypothesis brings along besides its tokens, on request: each costs memory per step."""

    token_log_probs: bool = False
    attention: bool = False


class Stop(Enum):
    """Why an output ends where it ends."""

    eos = "eos"  # it wrote its end
    max_length = "max_length"  # it was cut
    nothing_possible = "nothing_possible"  # every continuation was forbidden, or had no probability


@dataclass(frozen=True)
class TraceStep:
    """One position of an output, as the model saw it; log-probabilities are its own, whatever was forbidden."""

    fed: int  # the token it read
    written: int  # the label
    log_prob: float  # of the label
    top: list[tuple[int, float]]  # the most probable tokens, best first, with their log-probabilities
    attention: list[float] | None  # weights of the source positions


@dataclass(frozen=True)
class Trace:
    """How an output came about."""

    steps: list[TraceStep]  # one per label, eos included
    stop: Stop


@dataclass(frozen=True)
class Hypothesis:
    """One output of search."""

    tokens: list[int]  # without bos and eos
    finished: bool  # ended with eos; otherwise it was cut at its maximum length
    log_prob: float  # total of the model's own, eos included; -inf when no continuation was allowed
    score: float  # what the n-best list is sorted by; of beams: total ÷ length penalty + coverage term + reward
    token_log_probs: list[float] | None = None  # one per label, eos included
    attention: list[list[float]] | None = None  # (labels, source positions), eos included; None if there is none
    trace: Trace | None = None  # on request


class NotANumberError(ArithmeticError):
    """The model's log-probabilities are not numbers: it diverged, or its weights are damaged."""

    def __init__(self, sentences: Sequence[int], position: int) -> None:
        self.sentences = list(sentences)  # their places in the batch, from 0
        places = ", ".join(map(str, self.sentences[:8])) + (", …" if len(self.sentences) > 8 else "")
        super().__init__(
            f"The model gives NaN log-probabilities for {len(self.sentences)} sentences of the batch (place {places}, "
            f"from 0), seen at output position {position}: its weights are damaged, or the training diverged. "
            "Look at train/loss, lower the learning rate, or use an earlier checkpoint."
        )
