"""Laws of every listed objective: one batch equals its parts, every parameter is reached, logging changes nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from seq2seq_lightning.config import Config
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.structure import member_name
from seq2seq_lightning.teacher_forcing.feeding import FedBackToken
from seq2seq_lightning.training.objectives import (
    OBJECTIVES,
    Objective,
    ObjectiveConfig,
    Surroundings,
    TrainingStep,
    build_objective,
)
from seq2seq_lightning.training.objectives.discriminator import DiscriminatorConfig
from seq2seq_lightning.training.objectives.minimum_risk import MinimumRiskConfig
from seq2seq_lightning.training.objectives.policy_gradient import Baseline
from seq2seq_lightning.training.objectives.professor_forcing import ProfessorForcingConfig
from tests.training.objectives.steps import filler, make_batch, make_model, make_step, part

# that all parts of the objective act
ACTIVE: dict[str, ObjectiveConfig] = {
    "professor_forcing": ProfessorForcingConfig(discriminator=DiscriminatorConfig(felt_above=-1.0)),
}
every_objective = pytest.mark.parametrize("kind", OBJECTIVES, ids=member_name)


def losses_and_gradient(objective: Objective, step: TrainingStep) -> tuple[Any, torch.Tensor]:
    """And the gradient over the parameters of model and objective; every one of them must be reached."""
    parameters = [*step.model.parameters(), *objective.parameters()]
    losses = objective.losses(step)
    gradients = torch.autograd.grad(losses.total, parameters)
    return losses, torch.cat([each.flatten() for each in gradients])


def active(kind: type[ObjectiveConfig]) -> ObjectiveConfig:
    return ACTIVE.get(member_name(kind), kind())


def built(config: ObjectiveConfig, model) -> Objective:
    return build_objective(config, model, seed=1)


@every_objective
def test_a_batch_equals_its_micro_batches_and_fillers_add_nothing(kind):
    model, whole = make_model().train(), make_batch(rows=4)
    objective = built(active(kind), model)
    together, gradient = losses_and_gradient(objective, make_step(model, whole, is_logged=True))
    parts = [part(whole, [0, 2]), part(whole, [3]), part(whole, [1]), filler(whole)]
    found = [losses_and_gradient(objective, make_step(model, each, is_logged=True)) for each in parts]
    assert gradient.norm() > 1e-6
    torch.testing.assert_close(sum(each for _, each in found), gradient, rtol=0, atol=1e-9)
    assert found[-1][1].norm() == 0 and found[-1][0].total == 0
    assert sum(each.total.item() for each, _ in found) == pytest.approx(together.total.item(), abs=1e-9)
    assert together.tokens is not None
    for name, value in together.logged.items():
        assert sum(each.logged[name].item() for each, _ in found) == pytest.approx(value.item(), abs=1e-9)


@every_objective
def test_what_is_logged_changes_nothing_that_is_trained(kind):
    gradients = []
    for is_logged in (True, False):
        torch.manual_seed(0)
        model = make_model(dropout=0.4).train()
        objective = built(active(kind), model)
        gradients.append(losses_and_gradient(objective, make_step(model, is_logged=is_logged))[1])
        assert model.training
    torch.testing.assert_close(*gradients, rtol=0, atol=0)


@every_objective
def test_the_same_update_has_the_same_gradient_and_another_one_other_samples(kind):
    model = make_model().train()

    def gradient(update: int) -> torch.Tensor:
        return losses_and_gradient(built(active(kind), model), make_step(model, update=update))[1]

    assert torch.equal(gradient(3), gradient(3))
    if member_name(kind) != "maximum_likelihood":
        assert not torch.equal(gradient(3), gradient(4))


OPTIONS: dict[str, list[dict[str, Any]]] = {
    "maximum_likelihood": [{"label_smoothing": 0.1}],
    "minimum_risk": [
        {"metric": "exact_match"},
        {"samples": 5},
        {"max_length_ratio": 0.5},
        {"max_length_offset": 0},
        {"likelihood_weight": 0.5},
        {"sharpness": 0.5},
        {"include_gold": False},
        {"remove_duplicates": False},
    ],
    "self_critical": [
        {"metric": "edit_similarity"},
        {"samples": 5},
        {"max_length_ratio": 0.5},
        {"max_length_offset": 0},
        {"likelihood_weight": 0.5},
    ],
    "reinforce": [
        {"metric": "edit_similarity"},
        {"samples": 5},
        {"max_length_ratio": 0.5},
        {"max_length_offset": 0},
        {"likelihood_weight": 0.5},
        {"baseline": Baseline.none},
    ],
    "professor_forcing": [
        {"weight": 0.5},
        {"match_teacher": True},
        {"fed_back": FedBackToken.argmax},
        {"discriminator": DiscriminatorConfig(felt_above=0.75)},
    ],
}


@every_objective
def test_every_option_changes_the_gradient(kind):
    name = member_name(kind)
    options = {key for key in kind.__dataclass_fields__ if key != "name"}
    assert options == {key for changes in OPTIONS[name] for key in changes}
    model, batch = make_model(target_vocab=5).train(), make_batch(target_vocab=5)  # samples repeat each other

    def gradient(config: ObjectiveConfig) -> torch.Tensor:
        return losses_and_gradient(built(config, model), make_step(model, batch))[1]

    base = active(kind)
    plain = gradient(base)
    for changes in OPTIONS[name]:
        assert not torch.allclose(gradient(replace(base, **changes)), plain, rtol=1e-6, atol=1e-12), changes


MINDS = {
    "maximum_likelihood": set(),
    "minimum_risk": {"is_plainly_fed", "writes_eos", "has_coverage_loss"},
    "self_critical": {"is_plainly_fed", "writes_eos", "has_coverage_loss"},
    "reinforce": {"is_plainly_fed", "writes_eos", "has_coverage_loss"},
    "professor_forcing": {"is_plainly_fed"},
}
PLAIN = {"is_plainly_fed": True, "writes_eos": True, "has_coverage_loss": False}


@every_objective
@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("is_plainly_fed", "teacher_forcing"),
        ("writes_eos", "text.target.eos=true"),
        ("has_coverage_loss", "model.decoder.coverage_loss=0"),
    ],
)
def test_surroundings_that_do_not_fit_are_refused_with_a_way_out(kind, key, words):
    assert list(kind().problems(Surroundings(**PLAIN))) == []
    problems = list(kind().problems(Surroundings(**PLAIN | {key: not PLAIN[key]})))
    if not MINDS[member_name(kind)] & {key}:
        assert problems == []
    else:
        (problem,) = problems
        assert words in problem and f"objective={member_name(kind)}" in problem


def test_a_likelihood_beside_it_may_be_fed_as_one_likes():
    surroundings = Surroundings(is_plainly_fed=False)
    assert list(MinimumRiskConfig(likelihood_weight=0.1).problems(surroundings)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"objective": {"name": "minimum_risk"}, "teacher_forcing": {"name": "linear"}},
            "teacher_forcing changes nothing",
        ),
        ({"objective": {"name": "reinforce"}, "text": {"target": {"eos": False}}}, "text.target.eos=true"),
        (
            {"objective": {"name": "self_critical"}, "model": {"decoder": {"coverage_loss": 1.0}}},
            "model.decoder.coverage_loss changes nothing",
        ),
        ({"objective": {"name": "minimum_risk", "label_smoothing": 0.1}}, "objective.label_smoothing is no option"),
        ({"objective": {"name": "professor_forcing"}, "teacher_forcing": {"ratio": 0.5}}, "feeding gold tokens alone"),
    ],
)
def test_a_configuration_that_an_objective_cannot_use_is_refused_before_anything_is_built(changes, words):
    plain = Config().to_plain()
    for section, values in changes.items():
        known = plain[section] if values.get("name", plain[section].get("name")) == plain[section].get("name") else {}
        plain[section] = merged(known, values)
    with pytest.raises(ConfigurationError, match=words):
        Config.from_plain(plain)


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Values of the second over those of the first, section by section."""
    both = {key: merged(one[key], value) for key, value in other.items() if isinstance(value, dict) and key in one}
    return one | other | both
