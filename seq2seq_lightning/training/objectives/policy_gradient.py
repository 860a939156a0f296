"""REINFORCE (Williams 1992): samples that are better than a baseline become more probable, worse ones less.

∇ E[r(y)] = E[(r(y) - b) ∇ log p(y)] for every b that does not depend on y; b makes the estimate steadier.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.training.objectives.objective import TrainingStep
from seq2seq_lightning.training.objectives.sampled import SampledConfig, SampledObjective
from seq2seq_lightning.training.objectives.samples import draw, log_probs, rewards


class Baseline(Enum):
    """What the reward of a sample is compared with: the mean of the sentence's other samples, or nothing."""

    leave_one_out = "leave_one_out"
    none = "none"


@dataclass
class ReinforceConfig(SampledConfig):
    """REINFORCE with the mean of the other samples as baseline (Kool et al. 2019), or without one."""

    name: str = "reinforce"
    baseline: Baseline = Baseline.leave_one_out  # leave_one_out | none

    def __post_init__(self) -> None:
        """Refuse to leave one out of one."""
        super().__post_init__()
        if self.samples == 1 and self.baseline is Baseline.leave_one_out:
            raise ConfigurationError(
                "objective.samples is 1, and objective.baseline=leave_one_out is the mean of the others. "
                "Set objective.samples=2 or more, objective.baseline=none, or objective=self_critical."
            )


class PolicyGradient(SampledObjective):
    """-Σ_s (r(y_s) - b_s) log p(y_s) ÷ samples, whose gradient is that of the expected reward, negated."""

    with_greedy = False  # whether `baselines` needs the reward of greedy search

    @abstractmethod
    def baselines(self, reward: Tensor, greedy: Tensor) -> Tensor:
        """What each sample is compared with. reward: (batch, samples), greedy: (batch, 0 or 1). As reward, or less."""

    def sentence_losses(self, step: TrainingStep) -> tuple[Tensor, dict[str, Tensor]]:
        """See ``SampledObjective.sentence_losses``."""
        written = draw(step, self.samples, self.limits(step), self.with_greedy)
        every = rewards(step, written, self.metric)
        first = int(self.with_greedy)
        greedy, reward = every[:, :first], every[:, first:]
        baseline = self.baselines(reward, greedy).expand_as(reward)
        scores = log_probs(step, written[:, first:])
        losses = -((reward - baseline).to(scores.dtype) * scores).mean(1)
        return losses, {"reward": reward.mean(1), "baseline": baseline.mean(1), "risk": 1 - reward.mean(1)}


class Reinforce(PolicyGradient):
    """The baseline is made of the samples themselves."""

    def __init__(self, config: ReinforceConfig) -> None:
        super().__init__(config)
        self.baseline = config.baseline

    def baselines(self, reward: Tensor, greedy: Tensor) -> Tensor:
        """The mean of the other samples, independent of the one it is compared with; or zero."""
        if self.baseline is Baseline.none:
            return torch.zeros_like(reward)
        return (reward.sum(1, keepdim=True) - reward) / (self.samples - 1)
