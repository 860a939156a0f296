"""Maximum likelihood: cross-entropy of the labels, smoothed if asked for."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.losses import TokenLosses, token_losses
from seq2seq_lightning.training.objectives.objective import Objective, ObjectiveConfig


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
        self.label_smoothing = config.label_smoothing

    def losses(
        self,
        readout: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        pad_id: int,
        count_correct: bool = False,
    ) -> TokenLosses:
        """See ``token_losses``."""
        return token_losses(readout, weight, bias, labels, pad_id, self.label_smoothing, count_correct=count_correct)
