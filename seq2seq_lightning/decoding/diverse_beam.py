"""Diverse beam search: groups of beams that keep away from each other's tokens (Vijayakumar et al. 2018, arXiv
1610.02424, algorithm 1, with Hamming diversity, §4).

At each position the groups choose one after the other. A group chooses by log-probability minus `diversity` times the
number of hypotheses of earlier groups that went on with the same token at this position, and carries what was
subtracted along, as the authors' program does. The scores of hypotheses are the model's own: diversity decides what is
looked at, not what it is worth. Each group is a beam of its width that ends by its own stop rule; one group is beam
search. Groups may find the same output, which is returned once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq_lightning.decoding.beam import Plan, best_candidates, choose, run
from seq2seq_lightning.decoding.beam_config import BeamConfig
from seq2seq_lightning.decoding.beam_state import Live
from seq2seq_lightning.decoding.protocol import Hypothesis
from seq2seq_lightning.decoding.task import SearchTask
from seq2seq_lightning.decoding.top_k import Candidates


@dataclass
class DiverseBeamConfig(BeamConfig):
    """The best hypotheses of groups that avoid each other's tokens."""

    name: str = "diverse_beam"
    beam_width: int = 6  # of all groups together
    groups: int = 3  # beams of beam_width ÷ groups hypotheses each
    diversity: float = 0.5  # taken from a log-probability for each earlier group's hypothesis with the same token

    def problems(self) -> Iterator[str]:
        """One sentence per setting, or pair of settings, that cannot be run."""
        yield from super().problems()
        if self.groups < 1:
            yield f"decoding.groups={self.groups} searches nothing. Set it to 1 or more."
        elif self.beam_width % self.groups:
            yield (
                f"decoding.beam_width={self.beam_width} cannot be shared evenly by decoding.groups={self.groups}. "
                "Choose a multiple."
            )
        if self.diversity < 0:
            yield f"decoding.diversity={self.diversity} would draw groups together. Set it to 0 or more."

    def serves_required(self) -> bool:
        """Its beams are shared among groups already."""
        return False


def diverse_beam_search(task: SearchTask, config: DiverseBeamConfig) -> list[list[Hypothesis]]:
    """Up to n_best different hypotheses per sentence, from all groups, best first, in the order of the batch."""
    groups, width = config.groups, config.beam_width // config.groups

    def find(live: Live, compared: Tensor) -> Candidates:
        penalty = torch.zeros((), device=compared.device)
        found = []
        for group in range(groups):  # a group waits for those before it
            totals, counts = live.totals.compared[group::groups], live.finished_counts[group::groups]
            candidates = best_candidates(compared[group::groups] - penalty, totals, counts, width, config)
            found.append(candidates)
            penalty = penalty + config.diversity * _chosen(candidates, width, compared.shape[2], task)
        return Candidates(*(torch.stack(parts, dim=1).flatten(0, 1) for parts in zip(*found, strict=True)))

    plan = Plan(task, config, config.scorer(task.limits.longest, task.device), width, find, groups)
    found = run(plan).hypotheses(task.ids, task.source_lengths.repeat_interleave(groups))
    return [_merged(found[first : first + groups], config.n_best) for first in range(0, len(found), groups)]


def _chosen(candidates: Candidates, width: int, vocab: int, task: SearchTask) -> Tensor:
    """(sentences, 1, vocab): how many hypotheses of a group go on with each token."""
    going = choose(candidates, width, task.ids).going
    tokens, log_probs = candidates.tokens.gather(1, going), candidates.log_probs.gather(1, going)
    goes_on = (log_probs != -torch.inf) & (tokens != task.ids.eos)
    counts = torch.zeros((len(tokens), vocab), dtype=log_probs.dtype, device=tokens.device)
    return counts.scatter_add_(1, tokens, goes_on.to(log_probs.dtype))[:, None]


def _merged(groups: Sequence[Sequence[Hypothesis]], n_best: int) -> list[Hypothesis]:
    """The best different ones; of equal scores those of the earlier group. Unfinished ones where nothing finished."""
    together = [hypothesis for group in groups for hypothesis in group]
    if any(hypothesis.finished for hypothesis in together):
        together = [hypothesis for hypothesis in together if hypothesis.finished]
    possible = [hypothesis for hypothesis in together if hypothesis.score > -torch.inf] or together[:1]
    different = {(tuple(each.tokens), each.finished): each for each in reversed(possible)}
    kept = [each for each in possible if different[tuple(each.tokens), each.finished] is each]
    return sorted(kept, key=lambda each: -each.score)[:n_best]
