"""What a search wrote, position by position, and how hypotheses are read back from it.

Each step stores its tokens and the beam each continues (its parent); nothing is moved when beams are reordered or
sentences leave. At the end all hypotheses are followed back through their parents together, one pass over time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seq2seq_lightning.decoding.protocol import Details, Hypothesis, SpecialIds


@dataclass(frozen=True)
class Kept:
    """The hypotheses sentences keep, best first; a free place scores -inf. All (sentences, n_best)."""

    scores: Tensor
    log_probs: Tensor  # totals
    token_counts: Tensor  # eos not counted
    beams: Tensor  # the beam that wrote the last token: where the way back begins
    finished: Tensor  # bool

    def select(self, sentences: Tensor) -> Kept:
        """Those of these sentences."""
        return Kept(*(tensor[sentences] for tensor in self.tensors()))

    def best_of(self, others: Kept) -> Kept:
        """As many as here, the best of both; of equal scores those here first, then in their order."""
        both = Kept(*(torch.cat(pair, dim=1) for pair in zip(self.tensors(), others.tensors(), strict=True)))
        return both.best(self.scores.shape[1])

    def best(self, count: int) -> Kept:
        """The `count` best, those that score -inf too where there are no others; of equal scores in their order."""
        order = self.scores.sort(dim=1, descending=True, stable=True).indices[:, :count]
        return Kept(*(tensor.gather(1, order) for tensor in self.tensors()))

    def where(self, is_mine: Tensor, others: Kept) -> Kept:
        """Mine for the sentences where is_mine (sentences,), the others' elsewhere."""
        mine = is_mine[:, None]
        pairs = zip(self.tensors(), others.tensors(), strict=True)
        return Kept(*(torch.where(mine, one, other) for one, other in pairs))

    def tensors(self) -> tuple[Tensor, ...]:
        """The fields, in order."""
        return (self.scores, self.log_probs, self.token_counts, self.beams, self.finished)


def nothing_kept(sentences: int, n_best: int, device: torch.device) -> Kept:
    """Free places only."""
    shape = (sentences, n_best)
    counts = torch.zeros(shape, dtype=torch.int64, device=device)
    minus_infinity = torch.full(shape, -torch.inf, device=device)
    return Kept(minus_infinity, minus_infinity, counts, counts, torch.zeros(shape, dtype=torch.bool, device=device))


@dataclass(frozen=True)
class Step:
    """One position, for the sentences then live. The optional fields are there when asked for."""

    sentences: Tensor  # (live,) places in the batch
    tokens: Tensor  # (live, width)
    parents: Tensor  # (live, width): the beam of the position before that each token continues
    token_log_probs: Tensor | None = None  # (live, width)
    eos_log_probs: Tensor | None = None  # (live, width before), of ending each parent here
    attention: Tensor | None = None  # (live, width before, source_time), of each parent at this step


@dataclass
class History:
    """Every step so far and every hypothesis whose sentence has left."""

    details: Details
    steps: list[Step] = field(default_factory=list)
    left: list[tuple[Tensor, Kept]] = field(default_factory=list)

    def leave(self, sentences: Tensor, kept: Kept) -> None:
        """Note what the sentences that leave have kept."""
        self.left.append((sentences, kept))

    def hypotheses(self, ids: SpecialIds, source_lengths: Tensor) -> list[list[Hypothesis]]:
        """Per sentence of the batch its hypotheses, best first; at least one, though it may be unfinished."""
        sentences = torch.cat([sentences for sentences, _ in self.left])
        together = zip(*(kept.tensors() for _, kept in self.left), strict=True)
        kept = Kept(*(torch.cat(tensors) for tensors in together)).select(sentences.argsort())
        scores, log_probs, counts, beams, finished = (tensor.cpu().numpy() for tensor in kept.tensors())
        is_there = scores > -np.inf
        is_there[:, 0] = True
        places, ranks = is_there.nonzero()
        traced = _trace(self.steps, self.details, places, counts[is_there], beams[is_there], finished[is_there])
        found: list[list[Hypothesis]] = [[] for _ in range(len(scores))]
        for row, (place, rank) in enumerate(zip(places, ranks, strict=True)):
            count = _count_before(traced.tokens[row, : counts[place, rank]], ids.pad)
            labels = count + int(finished[place, rank])
            found[place].append(
                Hypothesis(
                    tokens=traced.tokens[row, :count].tolist(),
                    finished=bool(finished[place, rank]),
                    log_prob=float(log_probs[place, rank]),
                    score=float(scores[place, rank]),
                    token_log_probs=_listed(traced.token_log_probs, row, labels),
                    attention=_listed(traced.attention, row, labels, int(source_lengths[place])),
                )
            )
        return found


@dataclass(frozen=True)
class _Traced:
    """Hypotheses read back: (hypotheses, labels, ...), filled on the right."""

    tokens: np.ndarray
    token_log_probs: np.ndarray | None
    attention: np.ndarray | None


def _trace(
    steps: list[Step], details: Details, places: np.ndarray, counts: np.ndarray, beams: np.ndarray, finished: np.ndarray
) -> _Traced:
    """Follow each hypothesis (its sentence, token count, last beam) back to the first position."""
    rows_of = _rows_of_sentences(steps, int(places.max()) + 1)
    tokens_at = _on_host([step.tokens for step in steps])
    parents_at = _on_host([step.parents for step in steps])
    shape = (len(places), len(steps))
    tokens = np.zeros(shape, dtype=np.int64)
    log_probs = np.zeros(shape) if details.token_log_probs else None
    attention = _room_for_attention(steps, shape) if details.attention else None
    beams = beams.copy()
    for index in range(len(steps) - 1, -1, -1):
        step = steps[index]
        ends = np.flatnonzero(finished & (counts == index))  # eos stands at this position
        goes = np.flatnonzero(counts > index)
        end_rows, go_rows = rows_of[index][places[ends]], rows_of[index][places[goes]]
        parents = parents_at[index][go_rows, beams[goes]]
        tokens[goes, index] = tokens_at[index][go_rows, beams[goes]]
        if log_probs is not None:
            log_probs[goes, index] = _array(step.token_log_probs)[go_rows, beams[goes]]
            log_probs[ends, index] = _array(step.eos_log_probs)[end_rows, beams[ends]]
        if attention is not None:
            attention[goes, index] = _array(step.attention)[go_rows, parents]
            attention[ends, index] = _array(step.attention)[end_rows, beams[ends]]
        beams[goes] = parents
    return _Traced(tokens, log_probs, attention)


def _rows_of_sentences(steps: list[Step], sentences: int) -> list[np.ndarray]:
    """Per step: place in the batch → row of that step; computed once for steps that share their sentences."""
    found: list[np.ndarray] = []
    for index, step in enumerate(steps):
        if index and step.sentences is steps[index - 1].sentences:
            found.append(found[-1])
            continue
        live = step.sentences.cpu().numpy()
        rows = np.full(max(sentences, int(live.max()) + 1), -1)
        rows[live] = np.arange(len(live))
        found.append(rows)
    return found


def _on_host(tensors: list[Tensor]) -> list[np.ndarray]:
    """All of them in one transfer."""
    flat = torch.cat([tensor.flatten() for tensor in tensors]).cpu().numpy()
    parts = np.split(flat, np.cumsum([tensor.numel() for tensor in tensors])[:-1])
    return [part.reshape(tuple(tensor.shape)) for part, tensor in zip(parts, tensors, strict=True)]


def _room_for_attention(steps: list[Step], shape: tuple[int, int]) -> np.ndarray | None:
    if steps[0].attention is None:
        return None
    return np.zeros((*shape, steps[0].attention.shape[2]))


def _array(tensor: Tensor | None) -> np.ndarray:
    assert tensor is not None
    return tensor.double().cpu().numpy()


def _count_before(tokens: np.ndarray, pad: int) -> int:
    """Tokens before the first `pad`, which only a hypothesis without any possible continuation writes."""
    is_pad = np.flatnonzero(tokens == pad)
    return int(is_pad[0]) if len(is_pad) else len(tokens)


def _listed(values: np.ndarray | None, row: int, labels: int, width: int | None = None) -> Any:
    if values is None:
        return None
    return (values[row, :labels] if width is None else values[row, :labels, :width]).tolist()
