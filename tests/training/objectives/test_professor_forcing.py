"""Model and discriminator learn from one total, each from its own part; no gradient passes through a token."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.nn import functional as F

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.randomness import uniforms
from seq2seq_lightning.teacher_forcing import Sample
from seq2seq_lightning.teacher_forcing.feeding import FedBackToken
from seq2seq_lightning.training.label_losses import label_losses
from seq2seq_lightning.training.objectives import build_objective
from seq2seq_lightning.training.objectives.discriminator import DiscriminatorConfig, build_discriminator
from seq2seq_lightning.training.objectives.professor_forcing import ProfessorForcing, ProfessorForcingConfig
from tests.training.objectives.by_hand import gradient
from tests.training.objectives.steps import IDS, make_batch, make_model, make_step

ALWAYS = DiscriminatorConfig(hidden_size=4, felt_above=-1.0, learns_below=2.0)


def built(model, **options) -> ProfessorForcing:
    objective = build_objective(ProfessorForcingConfig(discriminator=ALWAYS, **options), model, seed=1)
    assert isinstance(objective, ProfessorForcing)
    return objective


def behaviours(step) -> tuple[torch.Tensor, torch.Tensor]:
    """Both readouts by hand: the tokens drawn without gradient, then fed as if they were gold."""
    model, batch = step.model, step.batch
    mask = batch.target_labels == IDS.pad
    mask[:, 0] = True
    noise = uniforms(step.seed, "professor", step.update, batch.places, mask.shape[1])
    given = (batch.source, batch.source_lengths)
    with torch.no_grad():
        fed = model.readouts(*given, batch.target_inputs, gold_mask=mask, fed_back=Sample(noise)).fed_tokens
    assert not torch.equal(fed, batch.target_inputs)
    return model.readouts(*given, batch.target_inputs).readout, model.readouts(*given, fed).readout


@pytest.mark.parametrize("match_teacher", [False, True])
def test_gradients_are_those_of_the_equations_each_for_its_own_parameters(match_teacher):
    step = make_step()
    objective = built(step.model, weight=0.7, match_teacher=match_teacher)
    batch, discriminator = step.batch, copy.deepcopy(objective.discriminator)
    scale = batch.label_count / len(batch)
    forced, free = behaviours(step)
    gold = label_losses(step.model, step.fed.parts[0].readouts, batch, IDS.pad).total
    judged = [discriminator(each, batch.target_lengths) for each in (forced, free)]
    deceived = -F.logsigmoid(judged[1]).sum() - match_teacher * F.logsigmoid(-judged[0]).sum()
    of_model = gradient(step.model, gold + 0.7 * scale * deceived)
    judged = [discriminator(each.detach(), batch.target_lengths) for each in (forced, free)]
    learnt = -F.logsigmoid(judged[0]).sum() - F.logsigmoid(-judged[1]).sum()
    of_discriminator = gradient(discriminator, scale * learnt)
    total = objective.losses(make_step(step.model)).total
    torch.testing.assert_close(gradient(objective, total), of_discriminator, rtol=0, atol=1e-9)
    total = objective.losses(make_step(step.model)).total
    torch.testing.assert_close(gradient(step.model, total), of_model, rtol=0, atol=1e-9)
    assert of_discriminator.norm() > 1e-3 and gradient(step.model, deceived_again(step, discriminator)).norm() > 1e-6


def deceived_again(step, discriminator) -> torch.Tensor:
    return -F.logsigmoid(discriminator(behaviours(step)[1], step.batch.target_lengths)).sum()


@pytest.mark.parametrize(("accuracy", "felt", "learns"), [(0.7, False, True), (0.9, True, True), (0.995, True, False)])
def test_each_side_waits_for_the_other(accuracy, felt, learns):
    model = make_model()
    objective = build_objective(ProfessorForcingConfig(), model, seed=1)
    objective.accuracy.fill_(accuracy)
    step = make_step(model)
    likelihood = gradient(model, label_losses(model, step.fed.parts[0].readouts, step.batch, IDS.pad).total)
    of_model = gradient(model, objective.losses(make_step(model)).total)
    assert torch.allclose(of_model, likelihood, rtol=0, atol=1e-12) != felt
    assert bool(gradient(objective, objective.losses(make_step(model)).total).norm() > 1e-6) == learns


def test_the_accuracy_is_that_of_all_micro_batches_of_the_update():
    model = make_model()
    objective = built(model)
    right = 0.0
    for rows in (2, 3):
        right += objective.losses(make_step(model, make_batch(rows))).logged["discriminator_accuracy"].item()
    assert objective.accuracy == 0.5
    objective.before_update()
    assert objective.accuracy.item() == pytest.approx(right / 5)
    assert objective.counts.tolist() == [0, 0]


def test_the_discriminator_is_clipped_apart():
    model = make_model()
    objective = built(model)
    (1e3 * objective.losses(make_step(model)).total).backward()
    before = [parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None]
    objective.before_update()
    norm = torch.stack([parameter.grad.norm() for parameter in objective.parameters()]).norm()
    assert norm.item() == pytest.approx(1.0, rel=1e-4)
    after = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert all(map(torch.equal, before, after))
    assert objective.parameter_group() == {"lr": ALWAYS.learning_rate, "weight_decay": 0.0}


def test_a_discriminator_does_not_look_behind_the_end():
    judge = build_discriminator(ALWAYS, 3, seed=1).double()
    behaviour, lengths = torch.randn(2, 5, 3, dtype=torch.float64), torch.tensor([5, 2])
    together = judge(behaviour, lengths)
    behaviour[1, 2:] = 100.0
    torch.testing.assert_close(judge(behaviour, lengths), together)
    torch.testing.assert_close(judge(behaviour[1:, :2], lengths[1:]), together[1:])


def test_a_discriminator_learns_to_tell_two_behaviours_apart():
    torch.manual_seed(0)
    judge, lengths = build_discriminator(ALWAYS, 3, seed=1), torch.full((32,), 6)
    optimizer = torch.optim.Adam(judge.parameters(), lr=0.03)
    behaviour = torch.randn(32, 6, 3)
    behaviour[16:, 1:] = 0.3 * behaviour[16:, 1:] + 0.9 * behaviour[16:, :-1]  # the same but for the order in time
    sign = torch.ones(32)
    sign[16:] = -1
    for _ in range(40):
        optimizer.zero_grad()
        F.softplus(-sign * judge(behaviour, lengths)).mean().backward()
        optimizer.step()
    assert ((judge(behaviour, lengths) > 0) == (sign > 0)).float().mean() > 0.8


def test_initial_weights_are_a_function_of_the_seed():
    state = torch.get_rng_state()
    one, same, other = (build_discriminator(ALWAYS, 3, seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    pairs = list(zip(one.parameters(), same.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) and not torch.equal(a, c) for a, b, c in pairs)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("hidden_size", 0, "at least 1"),
        ("learning_rate", 0.0, "above 0"),
        ("weight_decay", -1.0, "at least 0"),
        ("clip_norm", 0.0, "null for no clipping"),
        ("learns_below", 0.5, "above 0.5"),
        ("felt_above", 1.0, "below 1"),
    ],
)
def test_a_discriminator_that_would_not_train_is_refused(key, value, words):
    with pytest.raises(ConfigurationError, match=rf"objective.discriminator.{key} is {value}; it must be .*{words}"):
        DiscriminatorConfig(**{key: value})


def test_maximum_likelihood_in_disguise_is_refused():
    with pytest.raises(ConfigurationError, match=r"objective.weight is 0.0; it must be a number above 0"):
        ProfessorForcingConfig(weight=0.0)
    with pytest.raises(ConfigurationError, match=r"objective.fed_back is gumbel.*sample or argmax"):
        ProfessorForcingConfig(fed_back=FedBackToken.gumbel)
