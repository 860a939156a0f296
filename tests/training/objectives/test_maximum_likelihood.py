"""Maximum likelihood passes its smoothing on and reports nll unsmoothed."""

from __future__ import annotations

import pytest
from torch.nn import functional as F

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.training.objectives import build_objective
from seq2seq_lightning.training.objectives.maximum_likelihood import MaximumLikelihoodConfig
from tests.training.objectives.steps import make_step


def test_smoothing_moves_the_loss_and_not_the_nll():
    step = make_step()
    objective = build_objective(MaximumLikelihoodConfig(label_smoothing=0.2), step.model, seed=1)
    losses = objective.losses(step)
    logits = step.model.output_layer(step.fed.parts[0].readouts.readout).flatten(0, 1)
    labels = step.batch.target_labels.flatten()
    keywords = {"ignore_index": 0, "reduction": "sum"}
    smoothed = F.cross_entropy(logits, labels, label_smoothing=0.2, **keywords)
    assert losses.total.item() == pytest.approx(smoothed.item(), rel=1e-6)
    assert losses.tokens.nll.item() == pytest.approx(F.cross_entropy(logits, labels, **keywords).item(), rel=1e-6)


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_smoothing_outside_its_range_is_refused(value):
    with pytest.raises(ConfigurationError, match=rf"objective.label_smoothing is {value}; it must be from 0"):
        MaximumLikelihoodConfig(label_smoothing=value)
