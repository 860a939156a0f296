"""Sampling: each token is drawn from the model's distribution, as it is (ancestral) or sharpened and cut.

Temperature T draws from softmax(log p / T). `top_k` keeps the k most probable tokens (Fan et al. 2018, arXiv
1805.04833, §5.3); `top_p` the fewest most probable ones whose probabilities reach p (nucleus: Holtzman et al. 2020,
arXiv 1904.09751, §3.1); `min_probability` those that reach ε, and always the most probable (Hewitt et al. 2022, arXiv
2210.15191, §5.1). They apply in this order, each to the distribution that the one before has left, among the tokens
that no constraint forbids; equal probabilities by lower id. Log-probabilities and scores are the model's own, whatever
was cut. The noise of a token is a function of (seed, the sentence's place, sample, position): of no other sentence,
nor of the number of samples.
"""

from __future__ import annotations

from collections.abc import Iterator
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
from seq2seq_lightning.decoding.top_k import ordered_top
from seq2seq_lightning.randomness import drawn, uniforms

STREAM = "decoding"
HEAD = 256  # a nucleus is nearly always among so many tokens: on a CPU sorting them all costs more than the model


@dataclass
class SampleConfig(DecodingConfig):
    """Outputs drawn from the model. The score is the log-probability; the best of several samples comes first, and
    those that were cut come last."""

    name: str = "sample"
    samples: int = 1  # of each sentence; all are returned, equal ones as often as they were drawn
    temperature: float = 1.0  # log-probabilities are divided by it: below 1 the probable becomes more so
    top_k: int | None = None  # draw among so many most probable tokens; null: all
    top_p: float = 1.0  # draw among the most probable tokens that together have this probability; 1: all
    min_probability: float = 0.0  # draw among tokens at least so probable, and the most probable one; 0: all
    seed: int = 1  # of the noise

    def problems(self) -> Iterator[str]:
        """One sentence per setting, or pair of settings, that cannot be run."""
        yield from super().problems()
        if self.samples < 1:
            yield f"decoding.samples={self.samples} draws nothing. Set it to 1 or more."
        if not self.temperature > 0:
            yield (
                f"decoding.temperature={self.temperature} divides by nothing. Set it above 0, or choose "
                "decoding=greedy, which it approaches."
            )
        if self.top_k is not None and self.top_k < 1:
            yield f"decoding.top_k={self.top_k} leaves no token. Set it to 1 or more, or null."
        if not 0 < self.top_p <= 1:
            yield f"decoding.top_p={self.top_p} is no share of a distribution. Set it above 0, and at most to 1."
        if not 0 <= self.min_probability < 1:
            yield f"decoding.min_probability={self.min_probability} is out of range. Set it to 0 or more, below 1."
        if self.top_k == 1 and (self.samples > 1 or self.temperature != 1 or self.top_p < 1 or self.min_probability):
            yield (
                "decoding.top_k=1 draws the most probable token each time, so that samples, temperature, top_p and "
                "min_probability change nothing. Raise top_k, or choose decoding=greedy."
            )


@dataclass(frozen=True)
class _Live:
    """The sentences still in the batch; a sentence stays until the last of its samples is done."""

    sentences: Tensor  # (live,) places in the batch
    places: Tensor  # (live,) places in the test set, which noise is drawn by
    tokens: Tensor  # (live, width) written last; width is 1 before the first position, then the samples
    log_probs: Tensor  # (live, width) totals
    token_counts: Tensor  # (live, width) eos not counted
    finished: Tensor  # (live, width) wrote eos
    done: Tensor  # (live, width) nothing changes any more
    constraints: Constraints
    state: Any
    memory: Any

    def select(self, rows: Tensor) -> _Live:
        """Only these sentences."""
        width = self.tokens.shape[1]
        sample_rows = (rows[:, None] * width + torch.arange(width, device=rows.device)).flatten()
        return _Live(
            sentences=self.sentences[rows],
            places=self.places[rows],
            tokens=self.tokens[rows],
            log_probs=self.log_probs[rows],
            token_counts=self.token_counts[rows],
            finished=self.finished[rows],
            done=self.done[rows],
            constraints=self.constraints.select(rows),
            state=self.state.select(sample_rows),
            memory=self.memory.select(rows),
        )

    def kept(self, rows: Tensor) -> Kept:
        """What these sentences drew: finished samples first, the more probable before others, then in their order."""
        finished, log_probs = self.finished[rows], self.log_probs[rows]
        by_score = log_probs.sort(dim=1, descending=True, stable=True).indices
        by_end = finished.gather(1, by_score).to(torch.int8).sort(dim=1, descending=True, stable=True).indices
        order = by_score.gather(1, by_end)
        fields = (log_probs, log_probs, self.token_counts[rows], torch.arange(order.shape[1], device=order.device))
        in_order = (each.expand_as(order).gather(1, order) for each in (*fields, finished))
        return Kept(*in_order)


def sample(task: SearchTask, config: SampleConfig) -> list[list[Hypothesis]]:
    """All samples of each sentence, in the order of the batch."""
    history = drive(_start(task), lambda live, position: _advance(live, task, config, position), _release, task)
    return history.hypotheses(task.ids, task.source_lengths)


def _release(live: _Live, history: History, position: int, last: bool) -> _Live | None:
    rows = departure(live.done.all(1), live.log_probs, live.sentences, position, last)
    if rows is None:
        return live
    history.leave(live.sentences[rows.leaving], live.kept(rows.leaving))
    return live.select(rows.staying) if len(rows.staying) else None


def _start(task: SearchTask) -> _Live:
    """One row per sentence; the first draw makes it one per sample."""
    count, device = len(task.source_lengths), task.device
    no = torch.zeros((count, 1), dtype=torch.bool, device=device)
    sentences = torch.arange(count, device=device)
    return _Live(
        sentences=sentences,
        places=sentences if task.places is None else task.places.to(device),
        tokens=torch.full((count, 1), task.ids.bos, device=device),
        log_probs=torch.zeros((count, 1), device=device),
        token_counts=torch.zeros((count, 1), dtype=torch.int64, device=device),
        finished=no,
        done=no,
        constraints=task.constraints,
        state=task.state,
        memory=task.memory,
    )


def _advance(live: _Live, task: SearchTask, config: SampleConfig, position: int) -> tuple[_Live, Step]:
    """Draw one token per sample; samples that are done stay as they are."""
    (count, before), width = live.tokens.shape, config.samples
    output = task.decoder.step(live.tokens.flatten(), live.state, live.memory)
    log_probs = output.log_probs.unflatten(0, (count, before))
    compared = live.constraints.constrain(log_probs, position)
    best = compared.amax(2).expand(-1, width)
    tokens = _draw(compared, uniforms(config.seed, STREAM, position, live.places, width), config)
    chosen = log_probs.expand(-1, width, -1).gather(2, tokens[:, :, None])[:, :, 0]
    is_dead = best == -torch.inf
    chosen = torch.where(best.isnan() | is_dead, best, chosen)  # what is broken or impossible stays so in the total
    tokens = tokens.masked_fill(is_dead, task.ids.pad)
    is_eos = tokens == task.ids.eos
    added = live.log_probs + chosen
    done = live.done.expand(-1, width)
    own = torch.arange(width, device=tokens.device).expand_as(tokens)
    wanted = task.details
    attention = output.attention if wanted.attention else None
    step = Step(
        live.sentences,
        tokens,
        own,
        chosen if wanted.token_log_probs else None,
        chosen if wanted.token_log_probs else None,
        None if attention is None else attention.unflatten(0, (count, before)).expand(-1, width, -1),
    )
    state, parents = output.state, None
    if before != width:
        parents = torch.zeros_like(tokens)
        state = state.select(torch.arange(count, device=tokens.device).repeat_interleave(width))
    advanced = replace(
        live,
        tokens=tokens,
        log_probs=torch.where(done, live.log_probs.to(added.dtype), added),
        token_counts=live.token_counts + (~done & ~is_eos),
        finished=live.finished | (~done & is_eos),
        done=done | is_eos | is_dead | (live.constraints.limits.maximum <= position)[:, None],
        constraints=live.constraints.advance(tokens, parents),
        state=state,
    )
    return advanced, step


def _draw(compared: Tensor, noise: Tensor, config: SampleConfig) -> Tensor:
    """One token per random number. compared: (live, 1 or samples, vocab), -inf where forbidden; noise: (live, samples).

    Returns ids (live, samples).
    """
    scores = compared if config.temperature == 1 else compared / config.temperature
    allowed = truncated(scores.flatten(0, 1), config).unflatten(0, scores.shape[:2])
    rows = allowed.expand(-1, noise.shape[1], -1).flatten(0, 1)
    return drawn(rows, noise.flatten()).unflatten(0, noise.shape)


def truncated(scores: Tensor, config: SampleConfig) -> Tensor:
    """The scores (rows, vocab) with -inf where `top_k`, `top_p` or `min_probability` cut."""
    if config.top_k is not None and config.top_k < scores.shape[1]:
        first = ordered_top(scores, config.top_k)
        scores = torch.full_like(scores, -torch.inf).scatter_(1, first, scores.gather(1, first))
    if config.top_p < 1:
        probabilities = torch.softmax(scores.double(), dim=1)
        order = _nucleus_order(probabilities, config.top_p)
        sorted_probabilities = probabilities.gather(1, order)
        mass_before = sorted_probabilities.cumsum(1) - sorted_probabilities
        kept = scores.gather(1, order).masked_fill(mass_before >= config.top_p, -torch.inf)
        scores = torch.full_like(scores, -torch.inf).scatter_(1, order, kept)
    if config.min_probability:
        probabilities = torch.softmax(scores.double(), dim=1)
        most = probabilities.amax(1, keepdim=True)
        scores = scores.masked_fill((probabilities < config.min_probability) & (probabilities < most), -torch.inf)
    return scores


def _nucleus_order(probabilities: Tensor, share: float) -> Tensor:
    """Ids by falling probability, at least as many as reach the share: (rows, some or all)."""
    vocab = probabilities.shape[1]
    if probabilities.device.type == "cpu" and vocab > 2 * HEAD:
        head = ordered_top(probabilities, HEAD)
        if bool((probabilities.gather(1, head).sum(1) >= share).all()):  # waits for nothing: this is the host
            return head
    return ordered_top(probabilities, vocab)
