"""Self-critical training: REINFORCE whose baseline is greedy search by the same model (Rennie et al. 2017, §4)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from seq2seq_lightning.training.objectives.policy_gradient import PolicyGradient
from seq2seq_lightning.training.objectives.sampled import SampledConfig


@dataclass
class SelfCriticalConfig(SampledConfig):
    """REINFORCE against the reward of the model's own greedy output (arXiv 1612.00563)."""

    name: str = "self_critical"


class SelfCritical(PolicyGradient):
    """Samples better than what greedy search writes become more probable."""

    with_greedy = True

    def baselines(self, reward: Tensor, greedy: Tensor) -> Tensor:
        """The reward of the greedy output: (batch, 1)."""
        return greedy
