"""The settings of beam search and the rules among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seq2seq_lightning.decoding.config import DecodingConfig
from seq2seq_lightning.decoding.scoring import LengthPenalty, StopRule


@dataclass
class BeamConfig(DecodingConfig):
    """The best hypotheses a beam of fixed width meets."""

    name: str = "beam"
    beam_width: int = 5
    n_best: int = 1  # hypotheses returned per sentence
    length_penalty: LengthPenalty = LengthPenalty.none  # none | average | gnmt
    alpha: float | None = None  # exponent of the length penalty; average: 1.0 is usual, gnmt: 0.6
    beta: float = 0.0  # weight of the coverage term, which needs attention weights
    stop: StopRule | None = None  # first_k | exact; null: exact without penalties (it is free), else first_k

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

    def stop_rule(self) -> StopRule:
        """The rule in force: the one set, or the one that suits the penalties."""
        if self.stop is not None:
            return self.stop
        penalised = self.length_penalty is not LengthPenalty.none or self.beta > 0
        return StopRule.first_k if penalised else StopRule.exact
