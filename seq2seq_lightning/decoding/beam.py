"""Beam search, batched over sentences × beams: score every continuation, choose the best, advance.

At each position the 2 × width best continuations of a sentence are looked at: an `eos` among the first `width` finishes
a hypothesis, the first `width` others go on. So finishing never narrows the beam (as in fairseq), and beam 1 is greedy
search; `decoding.finishing` offers other conventions. Unfinished hypotheses are returned only for a sentence of which
none finished by its maximum length, unless `decoding.unfinished` lets them compete.
Ties: of equal totals the lower beam goes first, then the lower token id; of equal scores the one that finished first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from seq2seq_lightning.decoding.allocation import allocated_candidates
from seq2seq_lightning.decoding.beam_config import BeamConfig
from seq2seq_lightning.decoding.beam_state import Live, beams_of, start
from seq2seq_lightning.decoding.history import History, Kept, Step
from seq2seq_lightning.decoding.loop import departure, drive
from seq2seq_lightning.decoding.protocol import Hypothesis, SpecialIds
from seq2seq_lightning.decoding.scoring import Finishing, Scorer, StopRule, Unfinished
from seq2seq_lightning.decoding.task import SearchTask
from seq2seq_lightning.decoding.top_k import Candidates, top_candidates
from seq2seq_lightning.decoding.totals import Totals, labels_alone, with_labels
from seq2seq_lightning.errors import ConfigurationError

FindCandidates = Callable[[Live, Tensor], Candidates]  # from what continuations are compared by: (live, width, vocab)


@dataclass(frozen=True)
class Plan:
    """A beam search as its configuration wants it."""

    task: SearchTask
    config: BeamConfig
    scorer: Scorer
    width: int  # of one beam
    find: FindCandidates
    groups: int = 1  # beams per sentence

    @property
    def n_best(self) -> int:
        """Hypotheses that one beam keeps."""
        return min(self.config.n_best, self.width)


class _Scored(NamedTuple):
    """One step of the model, seen from the search; `width before` is 1 at the first position."""

    candidates: Candidates  # (live, at least width), best first
    totals: Totals  # of the candidates
    candidate_log_probs: Tensor | None  # of the new label alone, on request
    eos_log_probs: Tensor | None  # (live, width before), on request
    attention: Tensor | None  # (live, width before, source_time)
    state: Any  # rows = live × width before


class Choice(NamedTuple):
    """Which candidates finish, and which go on."""

    finishes: Tensor  # (live, width) bool over the first `width` candidates
    going: Tensor  # (live, width) places among the candidates


def beam_search(task: SearchTask, config: BeamConfig) -> list[list[Hypothesis]]:
    """Up to n_best hypotheses per sentence, best first, in the order of the batch."""

    def find(live: Live, compared: Tensor) -> Candidates:
        required = live.constraints.required
        if required is not None:
            return allocated_candidates(compared, live.totals.compared, config.beam_width, required, task.ids.pad)
        return best_candidates(compared, live.totals.compared, live.finished_counts, config.beam_width, config)

    plan = Plan(task, config, config.scorer(task.limits.longest, task.device), config.beam_width, find)
    return run(plan).hypotheses(task.ids, task.source_lengths)


def run(plan: Plan) -> History:
    """Search until every sentence is done."""
    task = plan.task

    def advance(live: Live, position: int) -> tuple[Live, Step]:
        scored = _score(live, plan, position)
        choice = choose(scored.candidates, plan.width, task.ids)
        advanced, step = _advance(live, scored, choice, plan, position)
        return replace(advanced, done=_is_done(advanced, plan, position)), step

    def release(live: Live, history: History, position: int, last: bool) -> Live | None:
        return _release(live, history, plan.groups, position, last)

    return drive(start(task, plan.n_best, plan.groups), advance, release, task)


def best_candidates(
    compared: Tensor, totals: Tensor, finished_counts: Tensor, width: int, config: BeamConfig
) -> Candidates:
    """As many of the best continuations as the way of finishing looks at; places of the beam that are taken: -inf."""
    if config.finishing is Finishing.beside:
        return top_candidates(compared, totals, 2 * width)
    found = top_candidates(compared, totals, width)
    if config.finishing is Finishing.in_place:
        return found
    is_taken = torch.arange(width, device=totals.device) >= width - finished_counts[:, None]
    return found._replace(log_probs=found.log_probs.masked_fill(is_taken, -torch.inf))


def choose(candidates: Candidates, width: int, ids: SpecialIds) -> Choice:
    """An `eos` among the first `width` finishes; the first `width` others go on: a beam has but one `eos`."""
    is_eos = candidates.tokens == ids.eos
    finishes = is_eos[:, :width] & (candidates.log_probs[:, :width] != -torch.inf)
    return Choice(finishes, is_eos.sort(dim=1, stable=True).indices[:, :width])


def _score(live: Live, plan: Plan, position: int) -> _Scored:
    """Ask the model once, forbid what is forbidden, and find the best continuations."""
    task, shape = plan.task, live.tokens.shape
    output = task.decoder.step(live.tokens.flatten(), live.state, live.memory)
    if plan.config.beta > 0 and output.attention is None:
        raise ConfigurationError(
            f"decoding.beta={plan.config.beta} needs attention weights, but this decoder gives none. "
            "Set decoding.beta=0 or choose model.decoder.context=attention."
        )
    log_probs = output.log_probs.unflatten(0, shape)
    compared = live.constraints.constrain(log_probs, position)
    candidates = plan.find(live, compared)
    alone = eos = None
    if task.details.token_log_probs:
        alone = labels_alone(log_probs, candidates.beams, candidates.tokens)
        eos = log_probs[:, :, task.ids.eos].clone()
    wants_attention = output.attention is not None and (plan.config.beta > 0 or task.details.attention)
    attention = output.attention.unflatten(0, shape) if wants_attention and output.attention is not None else None
    totals = _totals(live, candidates, log_probs, compared, plan.groups > 1)
    return _Scored(candidates, totals, alone, eos, attention, output.state)


def _totals(live: Live, candidates: Candidates, log_probs: Tensor, compared: Tensor, is_grouped: bool) -> Totals:
    """Of the candidates: the model's own, those scored, those compared; each added up only where it differs."""
    _, beams, tokens = candidates
    scored = with_labels(live.totals.scored, compared, beams, tokens) if is_grouped else candidates.log_probs
    if not live.constraints.can_weigh:
        return Totals(scored, scored, candidates.log_probs)
    return Totals(with_labels(live.totals.log_probs, log_probs, beams, tokens), scored, candidates.log_probs)


def _advance(live: Live, scored: _Scored, choice: Choice, plan: Plan, position: int) -> tuple[Live, Step]:
    """Keep what finished, move every beam to its new end, and note the way back."""
    ids, candidates = plan.task.ids, scored.candidates
    parents, tokens = candidates.beams.gather(1, choice.going), candidates.tokens.gather(1, choice.going)
    totals = scored.totals.gather(choice.going)
    is_over = (tokens == ids.eos) | (totals.compared == -torch.inf)  # eos: where too few others were left
    totals = totals.map(lambda each: each.masked_fill(is_over, -torch.inf))
    tokens = tokens.masked_fill(is_over, ids.pad)
    covered = _covered(live, scored) if plan.config.beta > 0 else None
    finishes = choice.finishes & ~live.done[:, None]
    finished = _finished(live, scored, covered, finishes, plan, position)
    before = live.tokens.shape[1]
    rows = torch.arange(len(tokens), device=tokens.device)[:, None] * before + parents
    advanced = replace(
        live,
        tokens=tokens,
        totals=totals,
        coverage=_of_beams(covered, parents),
        finished_counts=live.finished_counts + finishes.sum(1),
        top_finished=live.top_finished | finishes[:, 0],
        kept=live.kept.best_of(finished),
        constraints=live.constraints.advance(tokens, parents),
        state=scored.state.select(rows.flatten()),
    )
    if position in plan.task.limits.endings:
        advanced = _with_unfinished(advanced, plan, position)
    alone = None if scored.candidate_log_probs is None else scored.candidate_log_probs.gather(1, choice.going)
    attention = scored.attention if plan.task.details.attention else None
    return advanced, Step(live.places, tokens, parents, alone, scored.eos_log_probs, attention)


def _finished(live: Live, scored: _Scored, covered: Tensor | None, finishes: Tensor, plan: Plan, position: int) -> Kept:
    """The first `width` candidates as hypotheses that end here; those that do not finish score -inf."""
    width = finishes.shape[1]
    parents = scored.candidates.beams[:, :width]
    totals = scored.totals.map(lambda each: each[:, :width])
    scores = plan.scorer.scores(totals.scored, position, _of_beams(covered, parents), live.source_lengths)
    return Kept(
        scores.masked_fill(~finishes, -torch.inf),
        totals.log_probs,
        torch.full_like(parents, position - 1),
        parents,
        torch.ones_like(finishes),
    )


def _covered(live: Live, scored: _Scored) -> Tensor:
    """Attention summed over the labels, this step's included, of the beams before the choice."""
    assert scored.attention is not None
    return scored.attention if live.coverage is None else live.coverage + scored.attention


def _of_beams(coverage: Tensor | None, beams: Tensor) -> Tensor | None:
    """(live, width before, source_time) → (live, n, source_time)."""
    if coverage is None:
        return None
    return coverage.gather(1, beams[:, :, None].expand(-1, -1, coverage.shape[2]))


def _with_unfinished(live: Live, plan: Plan, position: int) -> Live:
    """Where a sentence ends at this position: its live hypotheses, instead of none or among those that finished."""
    beams = torch.arange(live.tokens.shape[1], device=live.tokens.device).expand_as(live.tokens)
    unfinished = Kept(
        plan.scorer.scores(live.totals.scored, position, live.coverage, live.source_lengths, finished=False),
        live.totals.log_probs,
        torch.full_like(beams, position),
        beams,
        torch.zeros_like(live.tokens, dtype=torch.bool),
    )
    ends = live.constraints.limits.maximum == position
    nothing_finished = ends & (live.finished_counts == 0)
    kept = unfinished.best(live.kept.scores.shape[1]).where(nothing_finished, live.kept)
    if plan.config.unfinished is Unfinished.compete:
        competing = ends & ~live.done & ~nothing_finished
        kept = live.kept.best_of(unfinished).where(competing, kept)
    return replace(live, kept=kept)


def _is_done(live: Live, plan: Plan, position: int) -> Tensor:
    """(live,): at the maximum length, or nothing that matters can follow."""
    maximum, rule = live.constraints.limits.maximum, plan.config.stop_rule()
    if rule is StopRule.first_k:
        enough = live.finished_counts >= plan.width
    elif rule is StopRule.top:
        enough = live.top_finished & (live.finished_counts >= plan.n_best)
    else:
        worst = live.kept.scores[:, -1]
        enough = (worst > -torch.inf) & (plan.scorer.bound(live.totals.scored.amax(1), maximum) <= worst)
    is_alone = (live.finished_counts > 0) & (live.totals.compared.amax(1) == -torch.inf)  # no live one is left
    return live.done | enough | is_alone | (maximum <= position)


def _release(live: Live, history: History, groups: int, position: int, last: bool) -> Live | None:
    """Let the sentences that are done leave; None when nobody stays."""
    totals = torch.cat([live.totals.compared, live.kept.log_probs], dim=1).unflatten(0, (-1, groups)).flatten(1)
    sentences = torch.div(live.places[::groups], groups, rounding_mode="floor")
    rows = departure(live.done.unflatten(0, (-1, groups)).all(1), totals, sentences, position, last)
    if rows is None:
        return live
    leaving = beams_of(rows.leaving, groups)
    history.leave(live.places[leaving], live.kept.select(leaving))
    return live.select(rows.staying, groups) if len(rows.staying) else None
