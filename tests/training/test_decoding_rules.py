"""What a decoding may ask of a model is told from the settings, wherever the decoding stands."""

from __future__ import annotations

from typing import Any

import pytest

from seq2seq_lightning.decoding import BeamConfig, MBRConfig
from seq2seq_lightning.training.decoding_rules import SearchedModel, decoding_problems

ATTENDS, BLIND = SearchedModel(attends=True), SearchedModel(attends=False)
COVERING = BeamConfig(n_best=2, beta=0.1)


@pytest.mark.parametrize(
    ("decoding", "model", "words"),
    [
        (COVERING, BLIND, "d.beta needs attention weights: set model.decoder.context=attention, or d.beta=0."),
        (MBRConfig(candidates=COVERING), BLIND, "d.candidates.beta needs attention weights"),
        (MBRConfig(utility="blue"), ATTENDS, "d.utility is 'blue', which is no metric. Did you mean 'bleu'?"),
    ],
)
def test_what_cannot_be_is_refused(decoding: Any, model: SearchedModel, words: str) -> None:
    (problem,) = decoding_problems(decoding, "d", model)
    assert words in problem


@pytest.mark.parametrize("decoding", [COVERING, MBRConfig(candidates=COVERING), MBRConfig(utility="chrf")])
def test_what_can_be_is_not(decoding: Any) -> None:
    assert list(decoding_problems(decoding, "d", ATTENDS)) == []
