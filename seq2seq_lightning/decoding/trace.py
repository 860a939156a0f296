"""What a model saw when it wrote an output: at each step the token it read, and what it would have written next.

A trace is made after the search, by feeding each output to the model once more; so it tells of the model alone,
whichever search found the output. Nothing is forbidden and nothing weighed: where something was written although
something else was more probable, a constraint, a penalty, noise, or a look ahead was the reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from seq2seq_lightning.decoding.protocol import Hypothesis, SpecialIds, StepDecoder, Stop, Trace, TraceStep
from seq2seq_lightning.decoding.task import device_of
from seq2seq_lightning.decoding.top_k import ordered_top

Seen = tuple[list, list, list, list | None]
"""Per position and row: the most probable ids, their log-probabilities, the written label's, attention weights."""


def traced(
    decoder: StepDecoder,
    state: Any,
    memory: Any,
    found: Sequence[Sequence[Hypothesis]],
    ids: SpecialIds,
    top: int,
    attended_lengths: Sequence[int],
) -> list[list[Hypothesis]]:
    """The hypotheses, sentences × n-best, with their traces; top: how many of the most probable tokens are told.

    state, memory: as the model starts these sentences; attended_lengths: the positions that attention weighs of each.
    """
    width = max(map(len, found), default=0)
    labels = [_labels(each, ids) for best in found for each in [*best, *[None] * (width - len(best))]]
    rows = torch.arange(len(found), device=device_of(state)).repeat_interleave(width)
    seen = _walk(decoder, state.select(rows), memory, labels, ids, top)
    told: list[list[Hypothesis]] = []
    for sentence, (best, source_time) in enumerate(zip(found, attended_lengths, strict=True)):
        own = enumerate(best, start=sentence * width)
        told.append(
            [
                replace(each, trace=Trace(_steps(seen, row, labels[row], ids, source_time), _stop(each)))
                for row, each in own
            ]
        )
    return told


def _walk(decoder: StepDecoder, state: Any, memory: Any, labels: list[list[int]], ids: SpecialIds, top: int) -> Seen:
    """Feed every row its labels, position by position; a row that has ended goes on with `pad`, and nobody looks."""
    longest = max(map(len, labels), default=0)
    if longest == 0:
        return [], [], [], None
    device = device_of(state) or device_of(memory) or torch.device("cpu")
    written = torch.tensor([[*row, *[ids.pad] * (longest - len(row))] for row in labels], device=device)
    top_ids, top_log_probs, log_probs, attention = [], [], [], []
    for position in range(longest):
        fed = written[:, position - 1] if position else torch.full_like(written[:, 0], ids.bos)
        output = decoder.step(fed, state, memory)
        state = output.state
        best = ordered_top(output.log_probs, min(top, output.log_probs.shape[1]))
        top_ids.append(best)
        top_log_probs.append(output.log_probs.gather(1, best))
        log_probs.append(output.log_probs.gather(1, written[:, position, None])[:, 0])
        if output.attention is not None:
            attention.append(output.attention)
    ids_told, told, own = (torch.stack(each).tolist() for each in (top_ids, top_log_probs, log_probs))
    return ids_told, told, own, torch.stack(attention).tolist() if attention else None


def _labels(hypothesis: Hypothesis | None, ids: SpecialIds) -> list[int]:
    if hypothesis is None:
        return []
    return [*hypothesis.tokens, ids.eos] if hypothesis.finished else hypothesis.tokens


def _steps(seen: Seen, row: int, labels: list[int], ids: SpecialIds, source_time: int) -> list[TraceStep]:
    top_ids, top_log_probs, log_probs, attention = seen
    return [
        TraceStep(
            fed=labels[position - 1] if position else ids.bos,
            written=label,
            log_prob=log_probs[position][row],
            top=list(zip(top_ids[position][row], top_log_probs[position][row], strict=True)),
            attention=None if attention is None else attention[position][row][:source_time],
        )
        for position, label in enumerate(labels)
    ]


def _stop(hypothesis: Hypothesis) -> Stop:
    if hypothesis.finished:
        return Stop.eos
    return Stop.nothing_possible if hypothesis.log_prob == float("-inf") else Stop.max_length
