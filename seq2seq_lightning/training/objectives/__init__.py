"""What training minimises, one objective per file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seq2seq_lightning.training.objectives.maximum_likelihood import MaximumLikelihood, MaximumLikelihoodConfig
from seq2seq_lightning.training.objectives.objective import Losses, Objective, ObjectiveConfig, TrainingStep

OBJECTIVES: dict[type[ObjectiveConfig], Callable[[Any], Objective]] = {
    MaximumLikelihoodConfig: MaximumLikelihood,
}


def build_objective(config: ObjectiveConfig) -> Objective:
    """The objective that the config names."""
    return OBJECTIVES[type(config)](config)


__all__ = ["OBJECTIVES", "Losses", "Objective", "ObjectiveConfig", "TrainingStep", "build_objective"]
