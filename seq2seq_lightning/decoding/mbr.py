"""Minimum Bayes risk: of several candidates the one that is most like the others, not the most probable one.

The expected utility of a candidate y is U(y) = Σ_y' w(y') u(y, y') ∕ Σ_y' w(y'), where each candidate stands in for a
reference and u is a metric of one sentence (Kumar and Byrne 2004, https://aclanthology.org/N04-1022; of samples:
Eikema and Aziz 2020, arXiv 2005.10283, §6). The candidates come from another search. Equal outputs are one candidate;
its weight w is how often it was found, the unbiased estimate where candidates are samples, or its probability.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seq2seq_lightning.decoding.config import DecodingConfig
from seq2seq_lightning.decoding.protocol import Hypothesis, Utility
from seq2seq_lightning.decoding.sampling import SampleConfig
from seq2seq_lightning.errors import ConfigurationError


class Evidence(Enum):
    """How much a candidate counts as a reference."""

    counts = "counts"  # as often as it was found
    probabilities = "probabilities"  # by the model's probability of it


@dataclass
class MBRConfig(DecodingConfig):
    """The candidate of the largest expected utility; scores are expected utilities."""

    name: str = "mbr"
    candidates: DecodingConfig = field(default_factory=lambda: SampleConfig(samples=32))  # the search that finds them
    utility: str = "bleu"  # exact_match | token_accuracy | edit_similarity | bleu (BLEU+1) | gleu, or a metric of text
    evidence: Evidence | None = None  # counts | probabilities; null: counts of samples, probabilities of an n-best list
    n_best: int = 1  # different outputs returned per sentence

    def problems(self) -> Iterator[str]:
        """One sentence per setting, or pair of settings, that cannot be run."""
        yield from super().problems()
        if self.n_best < 1:
            yield f"decoding.n_best={self.n_best} returns nothing. Set it to 1 or more."
        if isinstance(self.candidates, MBRConfig):
            yield "decoding.candidates is mbr itself. Choose sample, beam or diverse_beam there."
            return
        defaults = DecodingConfig()
        for name in (each.name for each in fields(DecodingConfig) if each.name != "name"):
            if getattr(self.candidates, name) != getattr(defaults, name):
                yield f"decoding.candidates.{name} has no effect: set decoding.{name}, which all candidates obey."
        if self._count() < 2:
            yield (
                f"decoding.candidates={self.candidates.name} gives one candidate, so there is nothing to choose. Set "
                "decoding.candidates.samples of sample, or decoding.candidates.n_best of a beam, to 2 or more."
            )

    def weighs_counts(self) -> bool:
        """Whether candidates count as often as they were found: as set, or as suits where they come from."""
        if self.evidence is not None:
            return self.evidence is Evidence.counts
        return isinstance(self.candidates, SampleConfig)

    def serves_required(self) -> bool:
        """The candidates have to meet them."""
        return self.candidates.serves_required()

    def _count(self) -> Any:
        """The candidates of a sentence, as far as the settings tell."""
        return getattr(self.candidates, "samples", getattr(self.candidates, "n_best", 1))


def most_useful(found: list[list[Hypothesis]], utility: Utility | None, config: MBRConfig) -> list[list[Hypothesis]]:
    """Of each sentence's candidates the n-best by expected utility; of equal ones the more probable, then the first."""
    if utility is None:
        raise ConfigurationError(
            f"decoding=mbr compares outputs by decoding.utility={config.utility}, and this search was given no "
            "function for it. Pass utility=…"
        )
    return [_ranked(place, candidates, utility, config) for place, candidates in enumerate(found)]


def _ranked(place: int, candidates: list[Hypothesis], utility: Utility, config: MBRConfig) -> list[Hypothesis]:
    groups: dict[tuple[int, ...], list[Hypothesis]] = {}
    for candidate in candidates:
        groups.setdefault(tuple(candidate.tokens), []).append(candidate)
    different = [equal[0] for equal in groups.values()]
    weights = [len(equal) for equal in groups.values()] if config.weighs_counts() else _probabilities(different)
    expected = expected_utilities(utility(place, list(groups)), np.array(weights, dtype=np.float64))
    order = sorted(range(len(different)), key=lambda index: (-expected[index], -different[index].log_prob))
    return [replace(different[index], score=float(expected[index])) for index in order[: config.n_best]]


def expected_utilities(utilities: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """U(y) of each candidate: (candidates,). utilities: (candidates, references); weights: (references,), not all 0."""
    return utilities @ (weights / weights.sum())


def _probabilities(candidates: list[Hypothesis]) -> list[float]:
    """Relative to the most probable one; all equal where the model gives none a probability."""
    most = max(candidate.log_prob for candidate in candidates)
    if most == -math.inf:
        return [1.0] * len(candidates)
    return [math.exp(candidate.log_prob - most) for candidate in candidates]
