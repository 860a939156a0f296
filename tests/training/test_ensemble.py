"""Real models as an ensemble: of copies it is the model; members that read or write otherwise are refused."""

from __future__ import annotations

from typing import Any

import pytest

from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.decoding import BeamConfig
from seq2seq_lightning.decoding.ensemble import Average
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.trained import join
from tests.training.untrained import pairs, untrained

BEAM = BeamConfig(beam_width=3, n_best=2, max_length=9)
KINDS: dict[str, dict[str, Any]] = {
    "attention": {},
    "initial": {"model__decoder": {"context": "initial", "query": None}},
    "copying": {"model__decoder": {"copy": "pointer_generator"}},
}


@pytest.mark.parametrize("average", Average)
@pytest.mark.parametrize("kind", KINDS)
def test_copies_of_a_model_are_that_model(kind: str, average: Average) -> None:
    """Its probabilities of the targets, teacher-forced and free-running, are found by steps there and at once here."""
    one = untrained(**KINDS[kind])
    unseen = [*pairs(9), Pair.of("one two", "two one"), Pair.of("two nine one", "one nine two")]
    alone, three = (each.score(unseen, BEAM) for each in (one, join({"a": one, "b": one, "c": one}, average)))
    assert alone.texts == three.texts
    for best, others in zip(alone.hypotheses, three.hypotheses, strict=True):
        assert [each.tokens for each in best] == [each.tokens for each in others]
        assert [each.score for each in best] == pytest.approx([each.score for each in others], abs=1e-9)
    for name, score in alone.scores.items():
        assert three.scores[name].value == pytest.approx(score.value, abs=1e-6)


def test_an_ensemble_differs_from_its_members_and_not_by_their_order() -> None:
    one, other = untrained(), untrained(seed=2)
    both, again = join({"a": one, "b": other}).score(pairs(), BEAM), join({"b": other, "a": one}).score(pairs(), BEAM)
    assert both.texts == again.texts
    assert both.texts not in (one.score(pairs(), BEAM).texts, other.score(pairs(), BEAM).texts)
    alone = [each.score(pairs(), BEAM).scores["perplexity"].value for each in (one, other)]
    assert both.scores["perplexity"].value < max(alone)


def test_one_member_is_itself() -> None:
    one = untrained()
    assert join({"a": one}) is one


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"words": pairs(3)}, "b has another target vocabulary"),
        ({"text__source": {"reverse": True}}, "b has another source vocabulary or other settings of text.source"),
        ({"model__decoder": {"copy": "pointer_generator"}}, "b has model.decoder.copy=pointer_generator"),
        ({"model__encoder": {"pyramid": 1, "layers": 2}}, "b shortens its source otherwise"),
    ],
)
def test_members_that_cannot_be_joined_are_refused(other: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        join({"a": untrained(), "b": untrained(**other)})
