"""Which ways of feeding are legal, over the full product, without building a model."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from seq2seq_lightning.config import Config
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.structure import from_plain, member_name
from seq2seq_lightning.teacher_forcing import SCHEDULES, TeacherForcingConfig, feeding_problems
from seq2seq_lightning.teacher_forcing.feeding import FedBackToken, Granularity, Mechanism

FUSIBLE: dict[str, dict[str, Any]] = {
    "initial": {"context": "initial"},
    "every_step": {"context": "every_step"},
    "current": {"context": "attention"},
}
OTHERS: dict[str, dict[str, Any]] = {
    "previous": {"context": "attention", "query": "previous"},
    "input_feeding": {"context": "attention", "input_feeding": True},
}
AXES: dict[str, list[Any]] = {
    "name": [member_name(config) for config in SCHEDULES],
    "granularity": [each.name for each in Granularity],
    "position_decay": [1.0, 0.9],
    "fed_back": [each.name for each in FedBackToken],
    "hard": [False, True],
    "mechanism": [each.name for each in Mechanism],
    "extra_passes": [None, 1],
}
FAMILIES = {TeacherForcingConfig: SCHEDULES}


def is_wrong(feeding: dict[str, Any], is_fusible: bool) -> bool:
    """The rules as a table would say them."""
    own = [
        feeding["name"] == "confidence" and feeding["granularity"] != "token",
        feeding["position_decay"] != 1 and feeding["granularity"] not in ("token", "step"),
        feeding["hard"] and feeding["fed_back"] != "gumbel",
        feeding["fed_back"] == "gumbel" and feeding["mechanism"] == "parallel",
        feeding["extra_passes"] is not None and feeding["mechanism"] != "parallel",
    ]
    return any(own) or (feeding["mechanism"] == "parallel" and not is_fusible)


def is_refused(feeding: dict[str, Any], is_fusible: bool) -> bool:
    try:
        config = from_plain(TeacherForcingConfig, feeding, FAMILIES)
    except ConfigurationError as error:
        assert "Set teacher_forcing." in str(error)
        return True
    around = {"copies": False, "has_validation": True, "free_running_loss": True}
    problems = list(feeding_problems(config, is_fusible=is_fusible, **around))
    assert all("Set teacher_forcing." in problem for problem in problems)
    return bool(problems)


def test_the_full_product_is_legal_or_refused_by_rule() -> None:
    products = [dict(zip(AXES, values, strict=True)) for values in itertools.product(*AXES.values())]
    found = {is_fusible: [is_refused(each, is_fusible) for each in products] for is_fusible in (True, False)}
    for is_fusible, refused in found.items():
        wrong = [
            feeding for feeding, seen in zip(products, refused, strict=True) if seen != is_wrong(feeding, is_fusible)
        ]
        assert not wrong
    assert 0.05 < sum(found[True]) / len(products) < sum(found[False]) / len(products) < 0.95


@pytest.mark.parametrize("decoder", [*FUSIBLE, *OTHERS])
def test_only_decoders_that_carry_nothing_but_their_state_take_passes(decoder: str) -> None:
    plain: dict[str, Any] = {"model": {"decoder": (FUSIBLE | OTHERS)[decoder]}}
    for mechanism in ("stepwise", "auto"):
        assert Config.from_plain(plain | {"teacher_forcing": {"name": "constant", "mechanism": mechanism}})
    plain["teacher_forcing"] = {"name": "constant", "mechanism": "parallel"}
    if decoder in FUSIBLE:
        assert Config.from_plain(plain).model.completed().is_fusible
        return
    with pytest.raises(
        ConfigurationError, match=r"mechanism=parallel.*Set teacher_forcing.mechanism=stepwise \(or auto\)"
    ):
        Config.from_plain(plain)


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        (
            {"teacher_forcing": {"name": "adaptive"}, "data": {"name": "reverse", "val_size": 0}},
            ["teacher_forcing=adaptive", "no validation split", "data.val_size", "teacher_forcing=linear"],
        ),
        ({"teacher_forcing": {"name": "adaptive"}, "data": {"name": "scan"}}, ["no validation split"]),
        (
            {
                "teacher_forcing": {"name": "adaptive", "signal": "gap"},
                "validation": {"free_running_loss": False},
            },
            ["signal=gap", "validation.free_running_loss=true", "signal=loss"],
        ),
        (
            {
                "teacher_forcing": {"name": "constant", "fed_back": "gumbel"},
                "model": {"decoder": {"copy": "pointer_generator"}},
            },
            ["fed_back=gumbel", "copies words", "fed_back=argmax or sample", "model.decoder.copy=none"],
        ),
    ],
)
def test_what_feeding_needs_of_its_surroundings(sections: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Config.from_plain(sections)
    for word in words:
        assert word in str(caught.value)


def test_what_adapts_may_do_without_a_free_running_loss() -> None:
    plain = {"teacher_forcing": {"name": "adaptive"}, "validation": {"free_running_loss": False}}
    assert Config.from_plain(plain).teacher_forcing.name == "adaptive"
