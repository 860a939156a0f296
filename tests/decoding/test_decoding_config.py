from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from seq2seq_lightning.decoding import SEARCHES, BeamConfig, DiverseBeamConfig, GreedyConfig, LengthPenalty, StopRule
from seq2seq_lightning.decoding.config import DecodingConfig, ForcedLength
from seq2seq_lightning.decoding.scoring import LengthCount, Unfinished
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.structure import from_plain, to_plain


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"max_length": 0}, r"decoding.max_length=0 leaves no room.*1 or more"),
        ({"max_length_ratio": -1.0}, r"decoding.max_length_ratio=-1.0 is negative"),
        (
            {"max_length_ratio": 0.0, "max_length_offset": 0},
            r"decoding.max_length_offset=0 with .*set decoding.max_length",
        ),
        ({"min_length": -1}, r"decoding.min_length=-1 is negative"),
        ({"min_length": 9, "max_length": 8}, r"decoding.min_length=9 is larger than decoding.max_length=8"),
        ({"batch_size": 0}, r"decoding.batch_size=0 searches nothing"),
        ({"beam_width": 0}, r"decoding.beam_width=0 keeps nothing"),
        ({"n_best": 0}, r"decoding.n_best=0 returns nothing"),
        ({"n_best": 7}, r"decoding.n_best=7 is larger than decoding.beam_width=5"),
        ({"length_penalty": LengthPenalty.gnmt, "alpha": -0.5}, r"decoding.alpha=-0.5 is negative"),
        ({"alpha": 0.6}, r"decoding.alpha=0.6 has no effect with decoding.length_penalty=none.*average or gnmt"),
        ({"length_penalty": LengthPenalty.gnmt}, r"decoding.length_penalty=gnmt needs decoding.alpha.*0.6 with gnmt"),
        ({"beta": -0.1}, r"decoding.beta=-0.1 is negative"),
        ({"word_reward": -1.0}, r"decoding.word_reward=-1.0 is negative"),
        (
            {"length_counts": LengthCount.tokens},
            r"decoding.length_counts=tokens has no effect without a length penalty",
        ),
        (
            {"unfinished": Unfinished.compete, "eos_at_maximum": True},
            r"decoding.unfinished=compete has no effect with decoding.eos_at_maximum=true",
        ),
        ({"no_repeat_ngram": -1}, r"decoding.no_repeat_ngram=-1 is negative. Set it to 1 or more, or to 0 for off"),
        ({"repetition_penalty": 0.9}, r"decoding.repetition_penalty=0.9 would reward repetition.*1 \(off\) or more"),
        ({"repetition_penalty": float("nan")}, r"decoding.repetition_penalty=nan would reward"),
        ({"banned": ["a", " "]}, r"decoding.banned holds an empty phrase"),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_way_out(wrong: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        BeamConfig(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"groups": 0}, r"decoding.groups=0 searches nothing"),
        ({"groups": 4}, r"decoding.beam_width=6 cannot be shared evenly by decoding.groups=4. Choose a multiple"),
        ({"diversity": -0.5}, r"decoding.diversity=-0.5 would draw groups together"),
    ],
)
def test_groups_that_cannot_be_run_are_refused(wrong: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        DiverseBeamConfig(**wrong)


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(ConfigurationError) as error:
        BeamConfig(beam_width=0, beta=-1.0, min_length=-2)
    assert len(str(error.value).splitlines()) == 4  # n_best=1 > beam_width=0 too


def test_the_stop_rule_suits_the_penalties_unless_set() -> None:
    averaged = {"length_penalty": LengthPenalty.average, "alpha": 1.0}
    assert BeamConfig().stop_rule() is StopRule.exact
    assert BeamConfig(**averaged).stop_rule() is StopRule.first_k
    assert BeamConfig(beta=0.2).stop_rule() is StopRule.first_k
    assert BeamConfig(word_reward=0.2).stop_rule() is StopRule.first_k
    assert BeamConfig(**averaged, stop=StopRule.exact).stop_rule() is StopRule.exact


@pytest.mark.parametrize("kind", SEARCHES)
def test_every_config_survives_the_roads_into_and_out_of_plain_values(kind: type[DecodingConfig]) -> None:
    plain = to_plain(kind(max_length=7, forced_length=ForcedLength.reference))
    assert from_plain(DecodingConfig, plain, {DecodingConfig: SEARCHES}) == kind(
        max_length=7, forced_length=ForcedLength.reference
    )
    tree = OmegaConf.merge(OmegaConf.structured(kind), {"max_length": 7, "forced_length": "reference"})
    built = OmegaConf.to_object(tree)
    assert built == kind(max_length=7, forced_length=ForcedLength.reference)


def test_a_config_knows_its_option() -> None:
    assert [kind().name for kind in (GreedyConfig, BeamConfig)] == ["greedy", "beam"]
    assert ForcedLength.reference == "reference"
