"""Maximum likelihood passes its smoothing on and reports nll unsmoothed."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.training.objectives import build_objective
from seq2seq_lightning.training.objectives.maximum_likelihood import MaximumLikelihood, MaximumLikelihoodConfig


def test_smoothing_moves_the_loss_and_not_the_nll():
    generator = torch.Generator().manual_seed(0)
    readout, weight = torch.randn(2, 3, 4, generator=generator), torch.randn(6, 4, generator=generator)
    labels = torch.tensor([[1, 2, 3], [4, 5, 0]])
    objective = build_objective(MaximumLikelihoodConfig(label_smoothing=0.2))
    assert isinstance(objective, MaximumLikelihood)
    losses = objective.losses(readout, weight, None, labels, pad_id=0, count_correct=True)
    logits = (readout @ weight.t()).flatten(0, 1)
    keywords = {"ignore_index": 0, "reduction": "sum"}
    smoothed = F.cross_entropy(logits, labels.flatten(), label_smoothing=0.2, **keywords)
    assert losses.total.item() == pytest.approx(smoothed.item(), rel=1e-6)
    assert losses.nll.item() == pytest.approx(F.cross_entropy(logits, labels.flatten(), **keywords).item(), rel=1e-6)
    assert losses.correct is not None


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_smoothing_outside_its_range_is_refused(value):
    with pytest.raises(ConfigurationError, match=rf"objective.label_smoothing is {value}; it must be from 0"):
        MaximumLikelihoodConfig(label_smoothing=value)
