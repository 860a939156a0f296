"""A value that cannot be that of its option is told in our words: the value seen, the values allowed, the nearest."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seq2seq_lightning.commands.application import explain
from seq2seq_lightning.commands.misfits import is_from_hydra


class Unit(Enum):
    sentences = "sentences"
    tokens = "tokens"


@dataclass
class Bridge:
    name: str = "copy"


@dataclass
class Model:
    bridge: Bridge = field(default_factory=Bridge)


@dataclass
class Settings:
    """An option of each kind; `model.bridge` is a group of ours too."""

    model: Model = field(default_factory=Model)
    place: Bridge = field(default_factory=Bridge)
    unit: Unit = Unit.tokens
    every: int | None = None
    keep: int = 1
    minutes: float = 1.0
    fresh: bool = False
    name: str = "a"
    extra: dict[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("unit", "token", "unit is 'token'. Did you mean 'tokens'? Allowed: sentences, tokens."),
        ("every", "never", "every is 'never', where a whole number or null is needed."),
        ("keep", 1.5, "keep is '1.5', where a whole number is needed."),
        ("keep", None, "keep is null, and must have a value."),
        ("minutes", "soon", "minutes is 'soon', where a number is needed."),
        ("fresh", "maybe", "fresh is 'maybe', where true or false is needed."),
        ("name", ["a"], "name is of type list, where text is needed."),
        ("extra", 3, "extra is of type int, where keys and values are needed."),
        (
            "place",
            "here",
            "place is a section and has no value of its own. Set an option in it: place.OPTION=VALUE. Allowed: name.",
        ),
        (
            "model.bridge",
            "copy",
            "model.bridge is a group and has no value of its own. Choose one of it by model/bridge=NAME. "
            "Allowed: copy, dense, zero.",
        ),
    ],
)
def test_a_value_that_does_not_fit_is_told_with_what_would(key: str, value: Any, message: str) -> None:
    config = OmegaConf.structured(Settings)
    with pytest.raises(OmegaConfBaseException) as told:
        OmegaConf.update(config, key, value)
    assert explain(told.value) == message


def test_an_option_cannot_be_left_out() -> None:
    config = OmegaConf.structured(Settings)
    with pytest.raises(OmegaConfBaseException) as told:
        del config.model["bridge"]
    assert explain(told.value) == "model.bridge cannot be left out."


def test_only_what_hydra_raised_is_taken_for_its_message() -> None:
    with pytest.raises(ValueError) as told:
        int("three")
    assert not is_from_hydra(told.value)
