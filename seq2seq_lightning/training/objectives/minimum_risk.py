"""Minimum-risk training: the expected error of what the model writes (Shen et al. 2016, arXiv 1512.02433)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.training.objectives.objective import TrainingStep
from seq2seq_lightning.training.objectives.sampled import SampledConfig, SampledObjective
from seq2seq_lightning.training.objectives.samples import draw, gold_labels, is_first, join, log_probs, rewards


@dataclass
class MinimumRiskConfig(SampledConfig):
    """The expected risk over a few candidates per sentence, their probabilities made to add up to one."""

    name: str = "minimum_risk"
    sharpness: float = 0.005  # α: candidates count in proportion to p^α
    include_gold: bool = True  # the gold target is a candidate too
    remove_duplicates: bool = True  # a candidate drawn twice counts once; false: as often as it was drawn

    def __post_init__(self) -> None:
        """Refuse a single candidate: it would have probability one, whatever the model says."""
        super().__post_init__()
        self.require(0 < self.sharpness < math.inf, "sharpness", self.sharpness, "a number above 0")
        if self.samples == 1 and not self.include_gold:
            raise ConfigurationError(
                "objective.samples is 1 and objective.include_gold is false: a single candidate always has probability "
                "one, and nothing is learnt. Set objective.samples=2 or more, or objective.include_gold=true."
            )


def expected_risk(log_probs: Tensor, risks: Tensor, counts: Tensor, sharpness: float) -> Tensor:
    """Σ_y Q(y) Δ(y) with Q(y) = p(y)^α ÷ Σ_y' p(y')^α over the candidates of a sentence (Shen et al. 2016, eq. 10-11).

    log_probs, risks: (batch, width); counts: (batch, width) bool, False for candidates left out. Returns (batch,).
    """
    scores = (sharpness * log_probs).masked_fill(~counts, -torch.inf)
    return (torch.softmax(scores, 1) * risks).sum(1)


class MinimumRisk(SampledObjective):
    """Candidates are samples of the model and the gold target; the risk of one is 1 - its reward."""

    def __init__(self, config: MinimumRiskConfig) -> None:
        super().__init__(config)
        self.sharpness, self.include_gold = config.sharpness, config.include_gold
        self.remove_duplicates = config.remove_duplicates

    def sentence_losses(self, step: TrainingStep) -> tuple[Tensor, dict[str, Tensor]]:
        """See ``SampledObjective.sentence_losses``; the reward logged is that of the samples alone."""
        candidates = draw(step, self.samples, self.limits(step))
        if self.include_gold:
            candidates = join(gold_labels(step), candidates)
        reward = rewards(step, candidates, self.metric)
        counts = is_first(candidates) if self.remove_duplicates else torch.ones_like(reward, dtype=torch.bool)
        scores = log_probs(step, candidates)
        risk = expected_risk(scores, (1 - reward).to(scores.dtype), counts, self.sharpness)
        return risk, {"reward": reward[:, -self.samples :].mean(1), "risk": risk}
