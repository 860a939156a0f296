"""The settings of beam search and the rules among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch

from seq2seq_lightning.decoding.config import DecodingConfig
from seq2seq_lightning.decoding.scoring import (
    Finishing,
    LengthCount,
    LengthPenalty,
    Scorer,
    StopRule,
    Unfinished,
    length_divisors,
)


@dataclass
class BeamConfig(DecodingConfig):
    """The best hypotheses a beam of fixed width meets."""

    name: str = "beam"
    beam_width: int = 5
    n_best: int = 1  # hypotheses returned per sentence
    length_penalty: LengthPenalty = LengthPenalty.none  # none | average | gnmt
    alpha: float | None = None  # exponent of the length penalty; average: 1.0 is usual, gnmt: 0.6
    length_counts: LengthCount = LengthCount.labels  # labels (eos counts) | tokens (it does not) | with_bos
    beta: float = 0.0  # weight of the coverage term, which needs attention weights
    word_reward: float = 0.0  # added to the score once per label, as length_counts counts them
    stop: StopRule | None = None  # first_k | exact | top; null: exact without penalties (it is free), else first_k
    finishing: Finishing = Finishing.beside  # beside | in_place | narrowing: what finished hypotheses take of the beam
    unfinished: Unfinished = Unfinished.fallback  # fallback | compete: what is cut at the maximum length

    def problems(self) -> Iterator[str]:
        """One sentence per setting, or pair of settings, that cannot be run."""
        yield from super().problems()
        if self.beam_width < 1:
            yield f"decoding.beam_width={self.beam_width} keeps nothing. Set it to 1 or more."
        if self.n_best < 1:
            yield f"decoding.n_best={self.n_best} returns nothing. Set it to 1 or more."
        if self.n_best > self.beam_width:
            yield (
                f"decoding.n_best={self.n_best} is larger than decoding.beam_width={self.beam_width}. "
                "Lower the first or raise the second."
            )
        if self.alpha is not None and self.alpha < 0:
            yield f"decoding.alpha={self.alpha} is negative. Set it to 0 or more."
        if self.alpha and self.length_penalty is LengthPenalty.none:
            yield (
                f"decoding.alpha={self.alpha} has no effect with decoding.length_penalty=none. "
                "Choose decoding.length_penalty=average or gnmt, or leave alpha out."
            )
        if self.alpha is None and self.length_penalty is not LengthPenalty.none:
            yield (
                f"decoding.length_penalty={self.length_penalty.name} needs decoding.alpha. "
                "Usual values: 1.0 with average, 0.6 with gnmt."
            )
        if self.beta < 0:
            yield f"decoding.beta={self.beta} is negative. Set it to 0 or more."
        if self.word_reward < 0:
            yield f"decoding.word_reward={self.word_reward} is negative. Set it to 0 or more."
        if self.length_counts is not LengthCount.labels and not (self._divides() or self.word_reward):
            yield (
                f"decoding.length_counts={self.length_counts.name} has no effect without a length penalty or "
                "decoding.word_reward. Choose one of them, or leave length_counts out."
            )
        if self.unfinished is Unfinished.compete and self.eos_at_maximum:
            yield (
                "decoding.unfinished=compete has no effect with decoding.eos_at_maximum=true, which finishes every "
                "output. Leave one of them out."
            )

    def stop_rule(self) -> StopRule:
        """The rule in force: the one set, or the one that suits the penalties."""
        if self.stop is not None:
            return self.stop
        penalised = self.length_penalty is not LengthPenalty.none or self.beta > 0 or self.word_reward > 0
        return StopRule.first_k if penalised else StopRule.exact

    def serves_required(self) -> bool:
        """A beam is shared among hypotheses that have met more or less."""
        return True

    def scorer(self, longest: int, device: torch.device) -> Scorer:
        """What scores hypotheses of at most so many labels."""
        divisors = length_divisors(self.length_penalty, self.alpha or 0.0, longest + 1, device)
        return Scorer(divisors, self.beta, self.length_counts, self.word_reward)

    def _divides(self) -> bool:
        return self.length_penalty is not LengthPenalty.none and bool(self.alpha)
