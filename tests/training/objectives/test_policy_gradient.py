"""REINFORCE and self-critical training: the gradient of what was drawn by hand, and of what could be in the mean."""

from __future__ import annotations

import pytest
import torch

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.metrics.sentence import edit_similarity
from seq2seq_lightning.training.objectives import build_objective
from seq2seq_lightning.training.objectives.policy_gradient import Baseline, ReinforceConfig
from seq2seq_lightning.training.objectives.samples import NO_LABEL, draw
from seq2seq_lightning.training.objectives.self_critical import SelfCriticalConfig
from tests.training.objectives.by_hand import LIMIT, all_sequences, gold, gradient, log_prob, tiny_step
from tests.training.objectives.steps import IDS

SHORT = {"metric": "edit_similarity", "max_length_ratio": 0.0, "max_length_offset": LIMIT}
KINDS = {
    "self_critical": lambda samples: SelfCriticalConfig(samples=samples, **SHORT),
    "leave_one_out": lambda samples: ReinforceConfig(samples=samples, **SHORT),
    "none": lambda samples: ReinforceConfig(samples=samples, baseline=Baseline.none, **SHORT),
}


def reward(step, row: int, labels: tuple[int, ...]) -> float:
    return edit_similarity([token for token in labels if token not in (IDS.eos, NO_LABEL)], gold(step, row))


def drawn(step, samples: int) -> list[list[tuple[int, ...]]]:
    """Greedy first, then the samples."""
    labels = draw(step, samples, [LIMIT] * len(step.batch), with_greedy=True).tolist()
    return [[tuple(token for token in row if token != NO_LABEL) for row in rows] for rows in labels]


def our_gradient(step, kind: str, samples: int) -> torch.Tensor:
    losses = build_objective(KINDS[kind](samples), step.model, seed=1).losses(step)
    return gradient(step.model, losses.total / step.batch.label_count)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_is_that_of_the_drawn_samples_by_hand(kind):
    step, samples = tiny_step(rows=3), 4
    total = torch.zeros((), dtype=torch.float64)
    for row, (greedy, *sampled) in enumerate(drawn(step, samples)):
        values = [reward(step, row, each) for each in sampled]
        for number, each in enumerate(sampled):
            others = values[:number] + values[number + 1 :]
            baseline = {"self_critical": reward(step, row, greedy), "leave_one_out": sum(others) / 3, "none": 0.0}[kind]
            total = total - (values[number] - baseline) * log_prob(step, row, each) / samples / 3
    ours = our_gradient(step, kind, samples)
    assert ours.norm() > 1e-3
    torch.testing.assert_close(ours, gradient(step.model, total), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_mean_over_many_samples_approaches_the_gradient_of_the_expected_reward(kind):
    """Chebyshev: with X = -(r(y) - b) ∇ log p(y), E|mean of N - E X|² = (E|X|² - |E X|²) ÷ N.

    b is the greedy reward, the expected reward (which leave-one-out estimates), or zero; 4 standard errors are allowed.
    """
    step, samples = tiny_step(rows=1), 4000
    ((greedy, *_),) = drawn(step, 1)
    outcomes = []
    for each in all_sequences():
        score = log_prob(step, 0, each)
        outcomes.append((score.exp().item(), reward(step, 0, each), gradient(step.model, score)))
    expected = sum(p * r for p, r, _ in outcomes)
    baseline = {"self_critical": reward(step, 0, greedy), "leave_one_out": expected, "none": 0.0}[kind]
    true = -sum(p * r * g for p, r, g in outcomes)
    second_moment = sum(p * ((r - baseline) * g).square().sum().item() for p, r, g in outcomes)
    bound = 4 * ((second_moment - true.square().sum().item()) / samples) ** 0.5
    assert bound < true.norm() / 2  # nothing else would pass
    assert (our_gradient(step, kind, samples) - true).norm() < bound


def test_only_a_baseline_is_needed_to_leave_one_out_of_one():
    ReinforceConfig(samples=1, baseline=Baseline.none)
    SelfCriticalConfig(samples=1)
    with pytest.raises(ConfigurationError, match=r"objective.samples is 1.*baseline=none, or objective=self_critical"):
        ReinforceConfig(samples=1)


def test_what_is_logged_is_summed_over_sentences():
    step, samples = tiny_step(rows=3), 4
    logged = build_objective(KINDS["self_critical"](samples), step.model, seed=1).losses(step).logged
    written = drawn(step, samples)
    means = [sum(reward(step, row, each) for each in sampled) / 4 for row, (_, *sampled) in enumerate(written)]
    assert logged["reward"].item() == pytest.approx(sum(means))
    assert logged["risk"].item() == pytest.approx(3 - sum(means))
    greedy = [reward(step, row, sentence[0]) for row, sentence in enumerate(written)]
    assert logged["baseline"].item() == pytest.approx(sum(greedy))
