"""Outputs from a given set only: a trie of them, or any finite automaton.

On the device an automaton is a sorted list of arcs, as large as the automaton and not as states × vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seq2seq_lightning.decoding.constraints.constraint import Constraint
from seq2seq_lightning.decoding.protocol import SpecialIds
from seq2seq_lightning.errors import ConfigurationError

_FREE = -1  # the state of a sentence without an automaton
_BITS = 32  # an arc's key is its state and its token, side by side


@dataclass(frozen=True)
class Automaton:
    """A deterministic automaton over tokens: an output is allowed if it leads from `start` to a state of `finals`."""

    arcs: dict[tuple[int, int], int]  # (state, token) → state
    finals: frozenset[int]
    start: int = 0

    def accepts(self, tokens: Iterable[int]) -> bool:
        """Whether the output may be written."""
        return self.after(tokens) in self.finals

    def after(self, tokens: Iterable[int]) -> int | None:
        """The state after these tokens; None: nothing allowed begins with them."""
        state: int | None = self.start
        for token in tokens:
            state = None if state is None else self.arcs.get((state, token))
        return state


def trie(outputs: Iterable[Sequence[int]]) -> Automaton:
    """The automaton of exactly these outputs, which are tokens without `eos`."""
    arcs: dict[tuple[int, int], int] = {}
    finals = set()
    states = 1
    for output in outputs:
        state = 0
        for token in output:
            following = arcs.setdefault((state, token), states)
            states += following == states
            state = following
        finals.add(state)
    return Automaton(arcs, frozenset(finals))


@dataclass(frozen=True)
class AllowedTokens(Constraint):
    """Allows what the automaton of each sentence has an arc for; `eos` where a state is final."""

    keys: Tensor  # (arcs,) ascending
    tokens: Tensor  # (arcs,)
    targets: Tensor  # (arcs,)
    first: Tensor  # (states,) the place of a state's first arc
    counts: Tensor  # (states,) how many arcs it has
    widest: int  # the largest of them
    any_free: bool  # some sentences have no automaton
    pad_id: int
    states: Tensor  # (live, width) the state of each beam

    def forbid(self, log_probs: Tensor, written: Tensor | None, position: int) -> None:
        """Everything without an arc from the beam's state."""
        own = log_probs.clone() if self.any_free else None
        state = self.states.clamp(min=0)
        arcs = torch.arange(self.widest, device=state.device)
        places = (self.first[state][:, :, None] + arcs).clamp(max=len(self.keys) - 1)
        is_arc = arcs < self.counts[state][:, :, None]
        tokens = self.tokens[places].masked_fill(~is_arc, self.pad_id)  # (live, width, widest); pad is -inf
        values = log_probs.gather(2, tokens)
        log_probs.fill_(-torch.inf).scatter_(2, tokens, values)
        if own is not None:
            log_probs.copy_(torch.where(self.states[:, :, None] == _FREE, own, log_probs))

    def advance(self, tokens: Tensor, parents: Tensor | None) -> AllowedTokens:
        """Follow the arcs; what has none gets nowhere."""
        states = self.states if parents is None else self.states.gather(1, parents)
        keys = (states << _BITS) | tokens
        places = torch.searchsorted(self.keys, keys).clamp(max=len(self.keys) - 1)
        dead = len(self.counts) - 1
        following = torch.where(self.keys[places] == keys, self.targets[places], dead)
        return replace(self, states=torch.where(states == _FREE, states, following))

    def select(self, sentences: Tensor) -> AllowedTokens:
        """Only these sentences."""
        return replace(self, states=self.states[sentences])


def allowed_tokens(automata: Sequence[Automaton | None], ids: SpecialIds, device: torch.device) -> AllowedTokens | None:
    """Of one automaton per sentence, None where free; sentences that share one share its arcs."""
    offsets: dict[int, int] = {}
    arcs: dict[tuple[int, int], int] = {}
    states = 0
    ends: list[int] = []
    for automaton in automata:
        if automaton is None or id(automaton) in offsets:
            continue
        offsets[id(automaton)] = states
        arcs |= {(one + states, token): other + states for (one, token), other in automaton.arcs.items()}
        ends += [final + states for final in automaton.finals]
        states += 1 + max(
            {automaton.start, *automaton.finals, *(max(arc[0], to) for arc, to in automaton.arcs.items())}
        )
    if not offsets:
        return None
    arcs |= {(final, ids.eos): states for final in ends}  # the state after the last one has no arcs
    if not arcs:
        raise ConfigurationError("The automaton allows no output at all: give it arcs, or a start that is final.")
    ordered = sorted(arcs.items())
    counts = [0] * (states + 1)
    for (state, _), _ in ordered:
        counts[state] += 1
    starts = [_FREE if each is None else each.start + offsets[id(each)] for each in automata]
    count = torch.tensor(counts, device=device)
    return AllowedTokens(
        keys=torch.tensor([(state << _BITS) | token for (state, token), _ in ordered], device=device),
        tokens=torch.tensor([token for (_, token), _ in ordered], device=device),
        targets=torch.tensor([target for _, target in ordered], device=device),
        first=count.cumsum(0) - count,
        counts=count,
        widest=max(counts),
        any_free=None in automata,
        pad_id=ids.pad,
        states=torch.tensor(starts, device=device)[:, None],
    )
