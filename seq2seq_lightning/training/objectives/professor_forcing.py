"""Professor forcing: the decoder is to behave alike under gold tokens and under its own (Lamb et al. 2016).

With B the readouts at the positions of the gold target, f under gold tokens, o under the model's own:
discriminator  -log D(B_f) - log(1 - D(B_o))                                  (eq. 5)
model          nll + weight · (-log D(B_o)), and -log(1 - D(B_f)) if asked    (eq. 6 and 7)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.randomness import uniforms
from seq2seq_lightning.teacher_forcing import ArgMax, Sample
from seq2seq_lightning.teacher_forcing.feeding import FedBackToken
from seq2seq_lightning.training.objectives.discriminator import DiscriminatorConfig, build_discriminator
from seq2seq_lightning.training.objectives.maximum_likelihood import gold_losses
from seq2seq_lightning.training.objectives.objective import (
    Losses,
    Objective,
    ObjectiveConfig,
    Surroundings,
    TrainingStep,
)


@dataclass
class ProfessorForcingConfig(ObjectiveConfig):
    """Maximum likelihood, and a discriminator that the model learns to deceive (arXiv 1610.09038)."""

    name: str = "professor_forcing"
    weight: float = 1.0  # of deceiving the discriminator, beside the nll per label
    match_teacher: bool = False  # the teacher-forced behaviour is drawn towards the free-running one too
    fed_back: FedBackToken = FedBackToken.sample  # sample | argmax: what the model hears of itself
    discriminator: DiscriminatorConfig = field(default_factory=DiscriminatorConfig)

    def __post_init__(self) -> None:
        """Refuse what would be maximum likelihood, or another method."""
        self.require(0 < self.weight < math.inf, "weight", self.weight, "a number above 0")
        if self.fed_back is FedBackToken.gumbel:
            raise ConfigurationError(
                "objective.fed_back is gumbel, but no gradient may pass through what the model hears of itself here. "
                "Set objective.fed_back=sample or argmax."
            )

    def problems(self, surroundings: Surroundings) -> Iterator[str]:
        """One of the two behaviours is that under gold tokens alone."""
        if not surroundings.is_plainly_fed:
            yield (
                "objective=professor_forcing compares feeding gold tokens alone with feeding none, and teacher_forcing "
                "asks for something between. Leave teacher_forcing=constant as it is (ratio 1), or choose "
                "objective=maximum_likelihood."
            )


class ProfessorForcing(Objective):
    """Two losses in one total: the model's reaches no parameter of the discriminator, nor the other way round."""

    def __init__(self, config: ProfessorForcingConfig) -> None:
        super().__init__()
        self.config = config
        self.accuracy: Tensor  # of the discriminator at the update before, over the global batch
        self.register_buffer("accuracy", torch.tensor(0.5))
        self.counts: Tensor  # sequences judged rightly, and all, of the micro-batches of this update
        self.register_buffer("counts", torch.zeros(2), persistent=False)

    def prepare(self, model: Seq2Seq, seed: int) -> None:
        """A discriminator of the model's readouts."""
        weight = model.output_layer.weight
        self.discriminator = build_discriminator(self.config.discriminator, weight.shape[1], seed).to(weight.dtype)

    def parameter_group(self) -> dict[str, Any]:
        """The discriminator's own learning rate and weight decay; all else is the model's."""
        own = self.config.discriminator
        return {"lr": own.learning_rate, "weight_decay": own.weight_decay}

    def losses(self, step: TrainingStep) -> Losses:
        """See ``Objective.losses``."""
        gold = gold_losses(step)
        behaviour = torch.cat((step.fed.parts[0].readouts.readout, self._free_running(step)))
        with torch.autocast(behaviour.device.type, enabled=False):
            seen = behaviour.detach().to(step.model.output_layer.weight.dtype).requires_grad_()
            forced, free = self.discriminator(seen, step.batch.target_lengths.repeat(2)).chunk(2)
            learnt = F.softplus(-forced) + F.softplus(free)
            deceived = F.softplus(-free) + (F.softplus(forced) if self.config.match_teacher else 0.0)
            (felt,) = torch.autograd.grad(step.sentence_mean(deceived), seen, retain_graph=True)
        rightly = (forced > 0).to(forced.dtype) + (free <= 0).to(forced.dtype)
        self.counts += torch.stack([_over(step, rightly), _over(step, torch.full_like(rightly, 2.0))]).to(self.counts)
        own = self.config.discriminator
        of_model = _surrogate(behaviour, felt) * (self.accuracy > own.felt_above)
        of_discriminator = step.sentence_mean(learnt) * (self.accuracy < own.learns_below)
        logged = {
            "discriminator_accuracy": _over(step, rightly / 2),
            "discriminator_loss": _over(step, learnt),
            "deception_loss": _over(step, deceived),
        }
        return Losses(gold.total + self.config.weight * of_model + of_discriminator, gold.tokens, logged)

    def before_update(self) -> None:
        """Clip the discriminator apart from the model, and remember how often it was right; nothing is read here."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(self.counts)
        self.accuracy.copy_(self.counts[0] / self.counts[1])
        self.counts.zero_()
        if self.config.discriminator.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.discriminator.parameters(), self.config.discriminator.clip_norm)

    def _free_running(self, step: TrainingStep) -> Tensor:
        """The readouts under the model's own tokens: (batch, target_time, size); with gradient, but for the tokens."""
        batch = step.batch
        gold_mask = batch.target_labels == step.ids.pad
        gold_mask[:, 0] = True
        noise = uniforms(step.seed, "professor", step.update, batch.places, gold_mask.shape[1])
        return step.model.readouts(
            batch.source,
            batch.source_lengths,
            batch.target_inputs,
            gold_mask=gold_mask,
            fed_back=Sample(noise) if self.config.fed_back is FedBackToken.sample else ArgMax(),
            copy_ids=batch.copy_ids,
        ).readout


def _surrogate(behaviour: Tensor, gradient: Tensor) -> Tensor:
    """A scalar whose gradient with respect to the behaviour is the one given, and with respect to nothing else."""
    return (behaviour * gradient.to(behaviour.dtype)).sum()


def _over(step: TrainingStep, values: Tensor) -> Tensor:
    """The sum over real sentences, without gradient. values: (batch,)."""
    return torch.where(step.is_sentence, values.detach(), torch.zeros_like(values)).sum()
