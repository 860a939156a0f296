"""How own tokens are found before the pass that learns, where nothing but the state of a decoder is carried on.

Either search is free of gradients and only tells what to feed; one pass over all positions at once then learns from
it, with the dropout that the search had. So feeding own tokens costs hardly more than the search.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seq2seq_lightning.models.decoder import Decoder
from seq2seq_lightning.models.dropout import Masks, drop
from seq2seq_lightning.models.feedback import Feedback, Readouts
from seq2seq_lightning.models.positions import Part
from seq2seq_lightning.models.state import Memory, State

PLACES_AT_ONCE = 1024  # whose logits exist at one time


@torch.no_grad()
def find_stepwise(
    decoder: Decoder, gold: Tensor, state: State, memory: Memory, masks: Masks, feedback: Feedback
) -> Tensor:
    """One position after the other, the definition. gold: (batch, target_time). Returns what is fed, likewise.

    The attention is asked and the readout made only for the rows whose own token is fed next.
    """
    (batch, time), last = gold.shape, feedback.occupied[-1]
    fed, layers, moves = gold.clone(), state.layers, decoder.begin(batch, time, masks)
    before: tuple[Part, Masks] | None = None
    for position, mask in enumerate(masks.positions(time)[: last + 1]):
        rows = feedback.at(position)
        if rows is not None:
            assert before is not None
            fed[rows, position] = feedback.choose(_speak(decoder, *before, memory, rows), rows, position)
        if position < last:
            part, layers = decoder.recur(fed[:, position], layers, memory, mask, moves)
            before = part, mask
    return fed


def _speak(decoder: Decoder, part: Part, mask: Masks, memory: Memory, rows: Tensor) -> Readouts:
    """What some rows of a position say, once the attention is asked."""
    part = part.select(rows)
    if decoder.attention is None:
        return decoder.say(part)
    attended = decoder.attention(part.top.unsqueeze(1), memory.select(rows))
    context = drop(attended.context.squeeze(1), None if mask.context is None else mask.context[rows])
    return decoder.say(Part(part.top, context, part.embedded, part.mask, attended.weights.squeeze(1)))


@torch.no_grad()
def find_parallel(
    decoder: Decoder, gold: Tensor, state: State, memory: Memory, masks: Masks, feedback: Feedback, passes: int | None
) -> tuple[Tensor, int]:
    """All positions at once, again and again, each pass fed what the one before said; the first is fed gold.

    passes: how many (Duckworth et al. 2019 and Mihaylova and Martins 2019 make one); None: until no token changes. That
    is the result of `find_stepwise`: a token that follows right ones is right, so that after k passes all own tokens at
    the first k positions that have one are right, and passes that change nothing have found the fixed point. Returns
    what is fed (batch, target_time), and the passes made.
    """
    occupied = feedback.occupied
    fed, begin = gold, 0
    for made in range(1, min(passes or len(occupied), len(occupied)) + 1):
        readouts = decoder.unroll(fed, state, memory, masks)
        rows, positions = feedback.rows[begin:], feedback.positions[begin:]
        own = _choose(feedback, readouts.at(rows, positions - 1), rows, positions)
        if passes is None and made < len(occupied):
            changed = torch.where(own != fed[rows, positions], positions, gold.shape[1])
            first = int(changed.min())  # where the host waits, once in a pass
            if first == gold.shape[1]:
                return fed, made
            begin = feedback.begins[first + 1]  # up to the first change all are right now
        fed = fed.index_put((rows, positions), own)
        if begin == len(feedback.rows):
            break
    return fed, made


def _choose(feedback: Feedback, said: Readouts, rows: Tensor, positions: Tensor) -> Tensor:
    """The own tokens of many places, a bounded number of them at a time."""
    blocks = torch.arange(len(rows), device=rows.device).split(PLACES_AT_ONCE)
    return torch.cat([feedback.choose(said.at(block), rows[block], positions[block]) for block in blocks])
