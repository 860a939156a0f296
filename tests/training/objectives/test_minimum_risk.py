"""The gradient of minimum risk is that of the expected risk, computed by hand over everything the model could write."""

from __future__ import annotations

import pytest
import torch

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.metrics.sentence import edit_similarity
from seq2seq_lightning.training.objectives import build_objective
from seq2seq_lightning.training.objectives.minimum_risk import MinimumRiskConfig, expected_risk
from seq2seq_lightning.training.objectives.samples import draw
from tests.training.objectives.by_hand import LIMIT, all_sequences, gold, gradient, log_prob, tiny_step
from tests.training.objectives.steps import IDS

ENOUGH = 1500  # samples that hold all 21 sequences


def config(**options) -> MinimumRiskConfig:
    """Samples of two labels at most."""
    given = {"metric": "edit_similarity", "samples": ENOUGH, "max_length_ratio": 0.0, "max_length_offset": LIMIT}
    return MinimumRiskConfig(**given | options)


def by_hand(step, sequences: list[list[tuple[int, ...]]], sharpness: float) -> torch.Tensor:
    """Σ_y p(y)^α Δ(y) ÷ Σ_y p(y)^α of each sentence, averaged."""
    total = torch.zeros((), dtype=torch.float64)
    for row, candidates in enumerate(sequences):
        weights = [(sharpness * log_prob(step, row, each)).exp() for each in candidates]
        risks = [1 - edit_similarity([t for t in each if t != IDS.eos], gold(step, row)) for each in candidates]
        total = total + sum(w * r for w, r in zip(weights, risks, strict=True)) / sum(weights)
    return total / len(sequences)


def trained_on(step, config: MinimumRiskConfig) -> torch.Tensor:
    """The total as training divides it."""
    return build_objective(config, step.model, seed=1).losses(step).total / step.batch.label_count


@pytest.mark.parametrize("sharpness", [1.0, 0.3])
def test_with_all_sequences_drawn_it_is_the_expected_risk(sharpness):
    step = tiny_step()
    assert all(len(set(map(tuple, rows))) == len(all_sequences()) for rows in draw(step, ENOUGH, [2, 2]).tolist())
    ours = trained_on(step, config(sharpness=sharpness, include_gold=False))
    theirs = by_hand(step, [all_sequences()] * 2, sharpness)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-9)
    one, other = gradient(step.model, ours), gradient(step.model, theirs)
    torch.testing.assert_close(one, other, rtol=0, atol=1e-9)
    assert other.norm() > 1e-3


def test_a_sharpness_of_one_over_all_sequences_needs_no_normalisation():
    step = tiny_step()
    ours = trained_on(step, config(sharpness=1.0, include_gold=False))
    exact = torch.zeros((), dtype=torch.float64)
    for row in range(2):
        for each in all_sequences():
            risk = 1 - edit_similarity([t for t in each if t != IDS.eos], gold(step, row))
            exact = exact + log_prob(step, row, each).exp() * risk / 2
    torch.testing.assert_close(gradient(step.model, ours), gradient(step.model, exact), rtol=0, atol=1e-9)


@pytest.mark.parametrize("remove", [True, False])
@pytest.mark.parametrize("include", [True, False])
def test_candidates_are_what_the_options_say(remove, include):
    step = tiny_step()
    sequences = []
    for row, drawn in enumerate(draw(step, 6, [2, 2]).tolist()):
        candidates = [(*gold(step, row), IDS.eos)] * include + [tuple(t for t in each if t >= 0) for each in drawn]
        sequences.append(list(dict.fromkeys(candidates)) if remove else candidates)
    ours = trained_on(step, config(samples=6, sharpness=0.5, remove_duplicates=remove, include_gold=include))
    assert ours.item() == pytest.approx(by_hand(step, sequences, 0.5).item(), abs=1e-9)


def test_candidates_left_out_count_for_nothing():
    scores = torch.tensor([[-1.0, -2.0, -0.5]], dtype=torch.float64)
    risks = torch.tensor([[0.2, 0.8, 0.4]], dtype=torch.float64)
    some = expected_risk(scores, risks, torch.tensor([[True, True, False]]), 1.0)
    torch.testing.assert_close(some, expected_risk(scores[:, :2], risks[:, :2], torch.ones(1, 2) > 0, 1.0))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"metric": "blue"}, ["objective.metric is 'blue'", "Did you mean 'bleu'"]),
        ({"samples": 0}, ["objective.samples is 0", "at least 1"]),
        ({"samples": 1, "include_gold": False}, ["objective.samples is 1", "include_gold=true"]),
        ({"sharpness": 0.0}, ["objective.sharpness is 0.0", "above 0"]),
        ({"max_length_ratio": -1.0}, ["objective.max_length_ratio is -1.0", "at least 0"]),
        ({"max_length_offset": -1}, ["objective.max_length_offset is -1", "at least 0"]),
        ({"max_length_ratio": 0.0, "max_length_offset": 0}, ["both 0", "no room"]),
        ({"likelihood_weight": -0.1}, ["objective.likelihood_weight is -0.1", "at least 0"]),
    ],
)
def test_settings_that_teach_nothing_are_refused(options, words):
    with pytest.raises(ConfigurationError) as caught:
        MinimumRiskConfig(**options)
    assert all(word in str(caught.value) for word in words)
