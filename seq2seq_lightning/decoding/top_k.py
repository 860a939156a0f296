"""The best continuations of a beam, with ties broken the same way everywhere.

`torch.topk` leaves open which of several equal values it takes, and reads a whole vocabulary with a partial sort.
Here values are first reduced to the maxima of chunks (one vectorised pass) and only chunks that matter are sorted, by
a stable sort: the result is exactly that of a stable sort of everything, in a fraction of the time.

Why chunks suffice: order elements by (value falling, index rising) and chunks by (maximum falling, index rising). If
an element lies outside the first k chunks, each of these holds an element before it, so it is not among the first k.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

VOCABULARY_CHUNK = 64
CHUNK = 8
SMALL = 128  # values that are sorted outright


class Candidates(NamedTuple):
    """Continuations, best first; equal values by lower beam, then lower token id. All (sentences, count)."""

    log_probs: Tensor  # totals, the new label included
    beams: Tensor  # which beam is continued
    tokens: Tensor  # by which token


def top_candidates(log_probs: Tensor, totals: Tensor, count: int) -> Candidates:
    """The `count` best continuations of each sentence; a NaN ranks above everything.

    log_probs: (sentences, width, vocab) of the next label; totals: (sentences, width) so far. Where a sentence has
    fewer possible continuations than `count`, the rest has log-probability -inf and means nothing.
    """
    _, width, vocab = log_probs.shape
    maxima = _chunk_maxima(log_probs) + totals[:, :, None]  # adding keeps the order, rounded or not
    chunks = maxima.shape[2]
    nearby = ordered_top(maxima.flatten(1), min(count, width * chunks)).sort(dim=1).values
    beams = torch.div(nearby, chunks, rounding_mode="floor")
    tokens = (nearby % chunks * VOCABULARY_CHUNK)[:, :, None] + torch.arange(VOCABULARY_CHUNK, device=totals.device)
    beams = beams[:, :, None].expand_as(tokens).flatten(1)
    tokens = tokens.flatten(1)
    places = beams * vocab + tokens.clamp(max=vocab - 1)
    values = log_probs.flatten(1).gather(1, places) + totals.gather(1, beams)
    values = values.masked_fill(tokens >= vocab, -torch.inf)
    best = ordered_top(values, min(count, values.shape[1]))
    found = Candidates(values.gather(1, best), beams.gather(1, best), tokens.gather(1, best).clamp(max=vocab - 1))
    missing = count - best.shape[1]
    return found if missing == 0 else _filled_up(found, missing)


def ordered_top(values: Tensor, count: int) -> Tensor:
    """Where the `count` largest values of each row are, largest first, equal ones by lower index.

    values: (rows, size), count ≤ size. Returns (rows, count) int64: the head of a stable descending sort.
    """
    size = values.shape[1]
    if size <= max(SMALL, CHUNK * count):
        return values.sort(dim=1, descending=True, stable=True).indices[:, :count]
    chunks = torch.nn.functional.pad(values, (0, -size % CHUNK), value=-torch.inf).unflatten(1, (-1, CHUNK))
    nearby = ordered_top(chunks.amax(2), count).sort(dim=1).values
    places = (nearby[:, :, None] * CHUNK + torch.arange(CHUNK, device=values.device)).flatten(1)
    inside = chunks.gather(1, nearby[:, :, None].expand(-1, -1, CHUNK)).flatten(1)
    return places.gather(1, ordered_top(inside, count))


def _chunk_maxima(log_probs: Tensor) -> Tensor:
    """(sentences, width, vocab) → (sentences, width, chunks); the last chunk may be shorter."""
    whole = log_probs.shape[2] // VOCABULARY_CHUNK * VOCABULARY_CHUNK
    parts = []
    if whole:
        parts.append(log_probs[:, :, :whole].unflatten(2, (-1, VOCABULARY_CHUNK)).amax(3))
    if whole < log_probs.shape[2]:
        parts.append(log_probs[:, :, whole:].amax(2, keepdim=True))
    return torch.cat(parts, dim=2)


def _filled_up(found: Candidates, missing: int) -> Candidates:
    pad = torch.nn.functional.pad
    return Candidates(
        pad(found.log_probs, (0, missing), value=-torch.inf),
        pad(found.beams, (0, missing)),
        pad(found.tokens, (0, missing)),
    )
