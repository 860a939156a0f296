"""What the objectives that reward samples share: how many, how long, by which metric, beside which likelihood."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seq2seq_lightning.errors import ConfigurationError, nearest
from seq2seq_lightning.metrics.sentence import SENTENCE_METRICS
from seq2seq_lightning.training.objectives.maximum_likelihood import gold_losses
from seq2seq_lightning.training.objectives.objective import (
    Losses,
    Objective,
    ObjectiveConfig,
    Surroundings,
    TrainingStep,
)
from seq2seq_lightning.training.objectives.samples import length_limits


@dataclass
class SampledConfig(ObjectiveConfig):
    """Samples of the model, each rewarded by a metric of its tokens against those of the gold target."""

    name: str = "sampled"
    metric: str = "bleu"  # exact_match | token_accuracy | edit_similarity | bleu (BLEU+1) | gleu, of token ids
    samples: int = 8  # of each sentence at each update
    max_length_ratio: float = 1.5  # a sample is cut after so many times the labels of the gold target …
    max_length_offset: int = 5  # … and so many more
    likelihood_weight: float = 0.0  # the nll of the gold labels is added with this weight

    def __post_init__(self) -> None:
        """Refuse unknown metrics, and samples that teach nothing."""
        if self.metric not in SENTENCE_METRICS:
            raise ConfigurationError(
                f"objective.metric is {self.metric!r}, which is no metric of one sentence. "
                f"{nearest(self.metric, SENTENCE_METRICS)}"
            )
        self.require(self.samples >= 1, "samples", self.samples, "at least 1")
        self.require(self.max_length_ratio >= 0, "max_length_ratio", self.max_length_ratio, "at least 0")
        self.require(self.max_length_offset >= 0, "max_length_offset", self.max_length_offset, "at least 0")
        if self.max_length_ratio == self.max_length_offset == 0:
            raise ConfigurationError(
                "objective.max_length_ratio and objective.max_length_offset are both 0, which leaves no room for a "
                "sample. Raise one of them."
            )
        self.require(0 <= self.likelihood_weight < math.inf, "likelihood_weight", self.likelihood_weight, "at least 0")

    def problems(self, surroundings: Surroundings) -> Iterator[str]:
        """Samples end by `eos`; what only the likelihood would look at needs the likelihood."""
        if not surroundings.writes_eos:
            yield (
                f"objective={self.name} needs text.target.eos=true: a sample ends by writing it. "
                "Set that, or choose objective=maximum_likelihood."
            )
        if surroundings.has_coverage_loss and not self.likelihood_weight:
            yield (
                f"model.decoder.coverage_loss changes nothing under objective={self.name} with "
                "objective.likelihood_weight=0, which trains on samples alone. Set objective.likelihood_weight above "
                "0, or model.decoder.coverage_loss=0."
            )
        if not surroundings.is_plainly_fed and not self.likelihood_weight:
            yield (
                f"teacher_forcing changes nothing under objective={self.name} with objective.likelihood_weight=0, "
                "which trains on samples alone. Set objective.likelihood_weight above 0, or leave "
                "teacher_forcing=constant as it is."
            )


class SampledObjective(Objective):
    """A loss per sentence over its samples, averaged over sentences, and the likelihood if it has a weight."""

    def __init__(self, config: SampledConfig) -> None:
        super().__init__()
        self.metric = SENTENCE_METRICS[config.metric]
        self.samples, self.likelihood_weight = config.samples, config.likelihood_weight
        self.length_ratio, self.length_offset = config.max_length_ratio, config.max_length_offset

    @abstractmethod
    def sentence_losses(self, step: TrainingStep) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of each sentence, with gradient, and what is logged of each: (batch,) each."""

    def limits(self, step: TrainingStep) -> list[int]:
        """The most labels each sample may have."""
        return length_limits(step.batch.target_lengths, self.length_ratio, self.length_offset)

    def losses(self, step: TrainingStep) -> Losses:
        """See ``Objective.losses``."""
        gold = gold_losses(step) if self.likelihood_weight else None
        losses, logged = self.sentence_losses(step)
        total = step.sentence_mean(losses)
        if gold is not None:
            total = total + self.likelihood_weight * gold.total
        elif step.is_logged:
            with torch.no_grad():
                gold = gold_losses(step)
        sums = {name: torch.where(step.is_sentence, value.detach(), 0.0).sum() for name, value in logged.items()}
        return Losses(total, None if gold is None else gold.tokens, sums)
