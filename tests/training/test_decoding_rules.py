"""What a decoding may ask of a model is told from the settings, wherever the decoding stands."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from seq2seq_lightning.decoding import BeamConfig, ForcedLength, GreedyConfig, MBRConfig
from seq2seq_lightning.decoding.unknown import ReplaceUnknown
from seq2seq_lightning.training.decoding_rules import SearchedModel, decoding_problems

ATTENDS, BLIND = SearchedModel(attends=True), SearchedModel(attends=False)
ENDLESS = SearchedModel(attends=True, ends=False)
ENDED = BeamConfig(eos_at_maximum=True)
COPYING = GreedyConfig(replace_unknown=ReplaceUnknown.copy)
COVERING = BeamConfig(n_best=2, beta=0.1)


@pytest.mark.parametrize(
    ("decoding", "model", "words"),
    [
        (COVERING, BLIND, "d.beta needs attention weights: set model.decoder.context=attention, or d.beta=0."),
        (MBRConfig(candidates=COVERING), BLIND, "d.candidates.beta needs attention weights"),
        (
            ENDED,
            ENDLESS,
            "d.eos_at_maximum needs targets with eos: set text.target.eos=true, or d.eos_at_maximum=false",
        ),
        (
            replace(ENDED, forced_length=ForcedLength.reference),
            ATTENDS,
            "d.eos_at_maximum has no effect with d.forced_length=reference, which forces it. Leave it out.",
        ),
        (
            COPYING,
            BLIND,
            "d.replace_unknown=copy needs attention weights: set model.decoder.context=attention, or d.repl",
        ),
        (COPYING, SearchedModel(attends=True, copies=True), "d.replace_unknown=copy changes little and hides much"),
        (
            COPYING,
            SearchedModel(attends=True, pyramid=1),
            "needs one encoder state for each source word, and with model",
        ),
        (MBRConfig(utility="blue"), ATTENDS, "d.utility is 'blue', which is no metric. Did you mean 'bleu'?"),
    ],
)
def test_what_cannot_be_is_refused(decoding: Any, model: SearchedModel, words: str) -> None:
    (problem,) = decoding_problems(decoding, "d", model)
    assert words in problem


@pytest.mark.parametrize(
    "decoding", [COVERING, ENDED, COPYING, MBRConfig(candidates=COVERING), MBRConfig(utility="chrf")]
)
def test_what_can_be_is_not(decoding: Any) -> None:
    assert list(decoding_problems(decoding, "d", ATTENDS)) == []
