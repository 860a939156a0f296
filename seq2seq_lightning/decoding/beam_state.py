"""What a beam search carries from one position to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seq2seq_lightning.decoding.constraints.composed import Constraints
from seq2seq_lightning.decoding.history import Kept, nothing_kept
from seq2seq_lightning.decoding.task import SearchTask
from seq2seq_lightning.decoding.totals import Totals, same_totals


@dataclass(frozen=True)
class Live:
    """The beams still searched. A sentence has one, or one per group: `live` = sentences × groups, sentence-major."""

    places: Tensor  # (live,) which beam of the batch each is: sentence × groups + group
    tokens: Tensor  # (live, width) written last; pad in a hypothesis without any possible continuation
    totals: Totals  # (live, width) each; -inf in such a hypothesis
    coverage: Tensor | None  # (live, width, source_time) attention summed over the labels, with a coverage term only
    source_lengths: Tensor  # (live,)
    finished_counts: Tensor  # (live,)
    top_finished: Tensor  # (live,): the best continuation of some position has finished
    kept: Kept
    done: Tensor  # (live,): what is kept does not change any more
    constraints: Constraints
    state: Any
    memory: Any  # one entry per sentence

    def select(self, sentences: Tensor, groups: int) -> Live:
        """Only the beams of these sentences (rows of memory)."""
        rows = beams_of(sentences, groups)
        beam_rows = beams_of(rows, self.tokens.shape[1])
        return Live(
            places=self.places[rows],
            tokens=self.tokens[rows],
            totals=self.totals.map(lambda totals: totals[rows]),
            coverage=None if self.coverage is None else self.coverage[rows],
            source_lengths=self.source_lengths[rows],
            finished_counts=self.finished_counts[rows],
            top_finished=self.top_finished[rows],
            kept=self.kept.select(rows),
            done=self.done[rows],
            constraints=self.constraints.select(rows),
            state=self.state.select(beam_rows),
            memory=self.memory.select(sentences),
        )


def start(task: SearchTask, n_best: int, groups: int) -> Live:
    """One hypothesis per beam; the first choice makes it the beam's width."""
    count, device = len(task.source_lengths) * groups, task.device
    no = torch.zeros(count, dtype=torch.bool, device=device)
    source_lengths, constraints, state = task.source_lengths.to(device), task.constraints, task.state
    if groups > 1:
        rows = torch.arange(len(source_lengths), device=device).repeat_interleave(groups)
        source_lengths, constraints, state = source_lengths[rows], constraints.select(rows), state.select(rows)
    return Live(
        places=torch.arange(count, device=device),
        tokens=torch.full((count, 1), task.ids.bos, device=device),
        totals=same_totals(torch.zeros((count, 1), device=device)),
        coverage=None,
        source_lengths=source_lengths,
        finished_counts=torch.zeros(count, dtype=torch.int64, device=device),
        top_finished=no,
        kept=nothing_kept(count, n_best, device),
        done=no,
        constraints=constraints,
        state=state,
        memory=task.memory,
    )


def beams_of(rows: Tensor, count: int) -> Tensor:
    """The rows that belong to these, `count` to each: of sentences their beams, of beams their hypotheses."""
    return rows if count == 1 else (rows[:, None] * count + torch.arange(count, device=rows.device)).flatten()
