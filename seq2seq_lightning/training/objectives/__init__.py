"""What training minimises, one objective per file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.plugins import Table
from seq2seq_lightning.training.objectives.maximum_likelihood import MaximumLikelihood, MaximumLikelihoodConfig
from seq2seq_lightning.training.objectives.minimum_risk import MinimumRisk, MinimumRiskConfig
from seq2seq_lightning.training.objectives.objective import (
    Losses,
    Objective,
    ObjectiveConfig,
    Surroundings,
    TrainingStep,
)
from seq2seq_lightning.training.objectives.policy_gradient import Reinforce, ReinforceConfig
from seq2seq_lightning.training.objectives.professor_forcing import ProfessorForcing, ProfessorForcingConfig
from seq2seq_lightning.training.objectives.self_critical import SelfCritical, SelfCriticalConfig

OBJECTIVES: Table[type[ObjectiveConfig], Callable[[Any], Objective]] = Table(
    "objectives",
    ObjectiveConfig,
    {
        MaximumLikelihoodConfig: MaximumLikelihood,
        MinimumRiskConfig: MinimumRisk,
        SelfCriticalConfig: SelfCritical,
        ReinforceConfig: Reinforce,
        ProfessorForcingConfig: ProfessorForcing,
    },
)


def build_objective(config: ObjectiveConfig, model: Seq2Seq, seed: int) -> Objective:
    """The objective that the config names, with what it trains beside this model."""
    objective = OBJECTIVES[type(config)](config)
    objective.prepare(model, seed)
    return objective


__all__ = ["OBJECTIVES", "Losses", "Objective", "ObjectiveConfig", "Surroundings", "TrainingStep", "build_objective"]
