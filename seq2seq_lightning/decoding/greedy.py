"""Greedy search: at each position the most probable token that is allowed, until `eos` or the maximum length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from seq2seq_lightning.decoding.config import DecodingConfig
from seq2seq_lightning.decoding.constraints.composed import Constraints
from seq2seq_lightning.decoding.history import History, Kept, Step
from seq2seq_lightning.decoding.loop import departure, drive
from seq2seq_lightning.decoding.protocol import Hypothesis
from seq2seq_lightning.decoding.task import SearchTask


@dataclass
class GreedyConfig(DecodingConfig):
    """The most probable token at each position; of equal ones the lowest id. The score is the log-probability, with
    the repetition penalty if there is one."""

    name: str = "greedy"


@dataclass(frozen=True)
class _Live:
    """The sentences still in the batch: (live,) each."""

    sentences: Tensor  # places in the batch
    tokens: Tensor  # written last
    log_probs: Tensor  # totals
    scores: Tensor  # the same, or, under a repetition penalty, what it makes of them
    token_counts: Tensor  # eos not counted
    finished: Tensor  # wrote eos
    done: Tensor  # finished, at its maximum length, or without a possible token: nothing changes any more
    constraints: Constraints
    state: Any
    memory: Any

    def select(self, rows: Tensor) -> _Live:
        """Only these rows."""
        return _Live(
            sentences=self.sentences[rows],
            tokens=self.tokens[rows],
            log_probs=self.log_probs[rows],
            scores=self.scores[rows],
            token_counts=self.token_counts[rows],
            finished=self.finished[rows],
            done=self.done[rows],
            constraints=self.constraints.select(rows),
            state=self.state.select(rows),
            memory=self.memory.select(rows),
        )

    def kept(self, rows: Tensor) -> Kept:
        """What these rows found, as n-best lists of one."""
        beams = torch.zeros_like(rows)
        fields = (self.scores[rows], self.log_probs[rows], self.token_counts[rows], beams, self.finished[rows])
        return Kept(*(tensor[:, None] for tensor in fields))


def greedy_search(task: SearchTask, config: GreedyConfig) -> list[list[Hypothesis]]:
    """One hypothesis per sentence, in the order of the batch."""
    history = drive(_start(task), lambda live, position: _advance(live, task, position), _release, task)
    return history.hypotheses(task.ids, task.source_lengths)


def _release(live: _Live, history: History, position: int, last: bool) -> _Live | None:
    rows = departure(live.done, live.log_probs[:, None], live.sentences, position, last)
    if rows is None:
        return live
    history.leave(live.sentences[rows.leaving], live.kept(rows.leaving))
    return live.select(rows.staying) if len(rows.staying) else None


def _start(task: SearchTask) -> _Live:
    count, device = len(task.source_lengths), task.device
    no = torch.zeros(count, dtype=torch.bool, device=device)
    zero = torch.zeros(count, device=device)
    return _Live(
        sentences=torch.arange(count, device=device),
        tokens=torch.full((count,), task.ids.bos, device=device),
        log_probs=zero,
        scores=zero,
        token_counts=torch.zeros(count, dtype=torch.int64, device=device),
        finished=no,
        done=no,
        constraints=task.constraints,
        state=task.state,
        memory=task.memory,
    )


def _advance(live: _Live, task: SearchTask, position: int) -> tuple[_Live, Step]:
    """Write one token per sentence; sentences that are done stay as they are."""
    output = task.decoder.step(live.tokens, live.state, live.memory)
    log_probs = output.log_probs[:, None]
    compared = live.constraints.constrain(log_probs, position)
    best, tokens = compared[:, 0].max(dim=1)  # the first of equal ones
    is_dead = best == -torch.inf
    chosen = best if compared is log_probs else output.log_probs.gather(1, tokens[:, None])[:, 0]
    tokens = tokens.masked_fill(is_dead, task.ids.pad)
    is_eos = tokens == task.ids.eos
    step = Step(
        live.sentences,
        tokens[:, None],
        torch.zeros_like(tokens)[:, None],
        chosen[:, None] if task.details.token_log_probs else None,
        chosen[:, None] if task.details.token_log_probs else None,
        output.attention[:, None] if task.details.attention and output.attention is not None else None,
    )
    totals = _add(live.log_probs, chosen, live.done)
    advanced = replace(
        live,
        tokens=tokens,
        log_probs=totals,
        scores=_add(live.scores, best, live.done) if live.constraints.can_weigh else totals,
        token_counts=live.token_counts + (~live.done & ~is_eos),
        finished=live.finished | (~live.done & is_eos),
        done=live.done | is_eos | is_dead | (live.constraints.limits.maximum <= position),
        constraints=live.constraints.advance(tokens[:, None]),
        state=output.state,
    )
    return advanced, step


def _add(totals: Tensor, log_probs: Tensor, done: Tensor) -> Tensor:
    """The totals with one more label, at least in float32; those of sentences that are done stay."""
    added = totals + log_probs
    return torch.where(done, totals.to(added.dtype), added)
