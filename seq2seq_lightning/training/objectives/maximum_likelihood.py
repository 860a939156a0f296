"""Maximum likelihood: cross-entropy of the labels, smoothed if asked for."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.training.label_losses import label_losses
from seq2seq_lightning.training.objectives.objective import Losses, Objective, ObjectiveConfig, TrainingStep


@dataclass
class MaximumLikelihoodConfig(ObjectiveConfig):
    """Cross-entropy; nll and perplexity are reported unsmoothed."""

    name: str = "maximum_likelihood"
    label_smoothing: float = 0.0  # ε in torch's convention: the truth has 1 - ε + ε/V, every other word ε/V

    def __post_init__(self) -> None:
        """Refuse what leaves nothing of the truth."""
        if not 0 <= self.label_smoothing < 1:
            raise ConfigurationError(
                f"objective.label_smoothing is {self.label_smoothing}; it must be from 0 to below 1 (0.1 is usual)."
            )


class MaximumLikelihood(Objective):
    """The sum of -log p(label) over real positions, against smoothed labels."""

    def __init__(self, config: MaximumLikelihoodConfig) -> None:
        super().__init__()
        self.label_smoothing = config.label_smoothing

    def losses(self, step: TrainingStep) -> Losses:
        """See ``Objective.losses``."""
        return gold_losses(step, self.label_smoothing)


def gold_losses(step: TrainingStep, label_smoothing: float = 0.0) -> Losses:
    """The losses of the gold labels; where the feeding has several parts, their weighted sum is trained on."""
    parts = step.fed.parts
    found = [label_losses(step.model, part.readouts, step.batch, step.ids.pad, label_smoothing) for part in parts]
    total = torch.stack([part.weight * losses.total for part, losses in zip(parts, found, strict=True)]).sum()
    return Losses(total, found[0])
