"""Beam search, batched over sentences × beams: score every continuation, choose the best, advance.

At each position the 2 × width best continuations of a sentence are looked at: an `eos` among the first `width` finishes
a hypothesis, the first `width` others go on. So finishing never narrows the beam (as in fairseq), and beam 1 is greedy
search. Unfinished hypotheses are returned only for a sentence of which none finished by its maximum length.
Ties: of equal totals the lower beam goes first, then the lower token id; of equal scores the one that finished first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seq2seq_lightning.decoding.beam_config import BeamConfig
from seq2seq_lightning.decoding.constraints import LengthLimits
from seq2seq_lightning.decoding.departures import departure, steps_between_looks
from seq2seq_lightning.decoding.history import History, Kept, Step, nothing_kept
from seq2seq_lightning.decoding.protocol import Hypothesis
from seq2seq_lightning.decoding.scoring import Scorer, StopRule, length_divisors
from seq2seq_lightning.decoding.task import SearchTask
from seq2seq_lightning.decoding.top_k import Candidates, top_candidates
from seq2seq_lightning.errors import ConfigurationError


@dataclass(frozen=True)
class _Live:
    """The sentences still in the batch."""

    sentences: Tensor  # (live,) places in the batch
    tokens: Tensor  # (live, width) written last; pad in a beam without any possible continuation
    log_probs: Tensor  # (live, width) totals, largest first; -inf in such a beam
    coverage: Tensor | None  # (live, width, source_time) attention summed over the labels, with a coverage term only
    source_lengths: Tensor  # (live,)
    finished_counts: Tensor  # (live,)
    kept: Kept
    done: Tensor  # (live,): what is kept does not change any more
    limits: LengthLimits
    state: Any
    memory: Any

    def select(self, rows: Tensor) -> _Live:
        """Only these sentences."""
        width = self.tokens.shape[1]
        beam_rows = (rows[:, None] * width + torch.arange(width, device=rows.device)).flatten()
        return _Live(
            sentences=self.sentences[rows],
            tokens=self.tokens[rows],
            log_probs=self.log_probs[rows],
            coverage=None if self.coverage is None else self.coverage[rows],
            source_lengths=self.source_lengths[rows],
            finished_counts=self.finished_counts[rows],
            kept=self.kept.select(rows),
            done=self.done[rows],
            limits=self.limits.select(rows),
            state=self.state.select(beam_rows),
            memory=self.memory.select(rows),
        )


class _Scored(NamedTuple):
    """One step of the model, seen from the search; `width before` is 1 at the first position."""

    candidates: Candidates  # (live, 2 × width), best first
    candidate_log_probs: Tensor | None  # (live, 2 × width) of the new label alone, on request
    eos_log_probs: Tensor | None  # (live, width before), on request
    attention: Tensor | None  # (live, width before, source_time)
    state: Any  # rows = live × width before


class _Choice(NamedTuple):
    """Which candidates finish, and which go on."""

    finishes: Tensor  # (live, width) bool over the first `width` candidates
    going: Tensor  # (live, width) places among the candidates


def beam_search(task: SearchTask, config: BeamConfig) -> list[list[Hypothesis]]:
    """Up to n_best hypotheses per sentence, best first, in the order of the batch."""
    scorer = Scorer(
        length_divisors(config.length_penalty, config.alpha or 0.0, task.limits.longest, task.device), config.beta
    )
    live = _start(task, config)
    history = History(task.details)
    between_looks = steps_between_looks(task.device)
    for position in range(1, task.limits.longest + 1):
        scored = _score(live, task, config, position)
        choice = _choose(scored.candidates, config.beam_width, task.ids.eos)
        live, step = _advance(live, scored, choice, scorer, task, position)
        live = replace(live, done=_is_done(live, scorer, config, position))
        history.steps.append(step)
        last = position == task.limits.longest
        if last or position % between_looks == 0:
            remaining = _release(live, history, position, last)
            if remaining is None:
                break
            live = remaining
    return history.hypotheses(task.ids, task.source_lengths)


def _start(task: SearchTask, config: BeamConfig) -> _Live:
    """One beam per sentence; the first choice makes it `beam_width`."""
    count, device = len(task.source_lengths), task.device
    return _Live(
        sentences=torch.arange(count, device=device),
        tokens=torch.full((count, 1), task.ids.bos, device=device),
        log_probs=torch.zeros((count, 1), device=device),
        coverage=None,
        source_lengths=task.source_lengths.to(device),
        finished_counts=torch.zeros(count, dtype=torch.int64, device=device),
        kept=nothing_kept(count, config.n_best, device),
        done=torch.zeros(count, dtype=torch.bool, device=device),
        limits=task.limits,
        state=task.state,
        memory=task.memory,
    )


def _score(live: _Live, task: SearchTask, config: BeamConfig, position: int) -> _Scored:
    """Ask the model once, forbid what is forbidden, and find the best continuations."""
    shape = live.tokens.shape
    output = task.decoder.step(live.tokens.flatten(), live.state, live.memory)
    if config.beta > 0 and output.attention is None:
        raise ConfigurationError(
            f"decoding.beta={config.beta} needs attention weights, but this decoder gives none. "
            "Set decoding.beta=0 or choose model.decoder.context=attention."
        )
    log_probs = output.log_probs.unflatten(0, shape)
    live.limits.constrain(log_probs, position, task.ids)
    candidates = top_candidates(log_probs, live.log_probs, 2 * config.beam_width)
    alone = eos = None
    if task.details.token_log_probs:
        alone = log_probs.flatten(1).gather(1, candidates.beams * log_probs.shape[2] + candidates.tokens)
        eos = log_probs[:, :, task.ids.eos].clone()
    wants_attention = output.attention is not None and (config.beta > 0 or task.details.attention)
    attention = output.attention.unflatten(0, shape) if wants_attention and output.attention is not None else None
    return _Scored(candidates, alone, eos, attention, output.state)


def _choose(candidates: Candidates, width: int, eos_id: int) -> _Choice:
    """An `eos` among the first `width` finishes; the first `width` others go on: a beam has but one `eos`."""
    is_eos = candidates.tokens == eos_id
    finishes = is_eos[:, :width] & (candidates.log_probs[:, :width] != -torch.inf)
    return _Choice(finishes, is_eos.sort(dim=1, stable=True).indices[:, :width])


def _advance(
    live: _Live, scored: _Scored, choice: _Choice, scorer: Scorer, task: SearchTask, position: int
) -> tuple[_Live, Step]:
    """Keep what finished, move every beam to its new end, and note the way back."""
    candidates, width = scored.candidates, choice.going.shape[1]
    log_probs, parents, tokens = (tensor.gather(1, choice.going) for tensor in candidates)
    log_probs = log_probs.masked_fill(tokens == task.ids.eos, -torch.inf)  # where too few others were left
    tokens = tokens.masked_fill(log_probs == -torch.inf, task.ids.pad)
    covered = _covered(live, scored) if scorer.beta > 0 else None
    ending_parents, ending_log_probs = candidates.beams[:, :width], candidates.log_probs[:, :width]
    ending_coverage = _of_beams(covered, ending_parents)
    finishes = choice.finishes & ~live.done[:, None]
    scores = scorer.scores(ending_log_probs, position, ending_coverage, live.source_lengths)
    finished = Kept(
        scores.masked_fill(~finishes, -torch.inf),
        ending_log_probs,
        torch.full_like(ending_parents, position - 1),
        ending_parents,
        torch.ones_like(finishes),
    )
    before = live.tokens.shape[1]
    rows = torch.arange(len(tokens), device=tokens.device)[:, None] * before + parents
    advanced = replace(
        live,
        tokens=tokens,
        log_probs=log_probs,
        coverage=_of_beams(covered, parents),
        finished_counts=live.finished_counts + finishes.sum(1),
        kept=live.kept.best_of(finished),
        state=scored.state.select(rows.flatten()),
    )
    if position in task.limits.endings:
        advanced = _with_unfinished(advanced, live.limits.maximum == position, scorer, position)
    step = Step(
        live.sentences,
        tokens,
        parents,
        None if scored.candidate_log_probs is None else scored.candidate_log_probs.gather(1, choice.going),
        scored.eos_log_probs,
        scored.attention if task.details.attention else None,
    )
    return advanced, step


def _covered(live: _Live, scored: _Scored) -> Tensor:
    """Attention summed over the labels, this step's included, of the beams before the choice."""
    assert scored.attention is not None
    return scored.attention if live.coverage is None else live.coverage + scored.attention


def _of_beams(coverage: Tensor | None, beams: Tensor) -> Tensor | None:
    """(live, width before, source_time) → (live, n, source_time)."""
    if coverage is None:
        return None
    return coverage.gather(1, beams[:, :, None].expand(-1, -1, coverage.shape[2]))


def _with_unfinished(live: _Live, ends: Tensor, scorer: Scorer, position: int) -> _Live:
    """Where a sentence ends (live,) and none of its hypotheses has finished, keep the live ones instead."""
    beams = torch.arange(live.tokens.shape[1], device=ends.device).expand_as(live.tokens)
    unfinished = Kept(
        scorer.scores(live.log_probs, position, live.coverage, live.source_lengths),
        live.log_probs,
        torch.full_like(beams, position),
        beams,
        torch.zeros_like(live.tokens, dtype=torch.bool),
    )
    nothing_finished = ends & (live.finished_counts == 0)
    n_best = live.kept.scores.shape[1]
    return replace(live, kept=unfinished.best(n_best).where(nothing_finished, live.kept))


def _is_done(live: _Live, scorer: Scorer, config: BeamConfig, position: int) -> Tensor:
    """(live,): at the maximum length, or nothing that matters can follow."""
    if config.stop_rule() is StopRule.first_k:
        enough = live.finished_counts >= config.beam_width
    else:
        worst = live.kept.scores[:, -1]
        enough = (worst > -torch.inf) & (scorer.bound(live.log_probs[:, 0], live.limits.maximum) <= worst)
    is_alone = (live.finished_counts > 0) & (live.log_probs[:, 0] == -torch.inf)  # no live hypothesis is left
    return live.done | enough | is_alone | (live.limits.maximum <= position)


def _release(live: _Live, history: History, position: int, last: bool) -> _Live | None:
    """Let the sentences that are done leave; None when nobody stays."""
    totals = torch.cat([live.log_probs, live.kept.log_probs], dim=1)
    rows = departure(live.done, totals, live.sentences, position, last)
    if rows is None:
        return live
    history.leave(live.sentences[rows.leaving], live.kept.select(rows.leaving))
    return live.select(rows.staying) if len(rows.staying) else None
