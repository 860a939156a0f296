"""Plain values become typed settings and back; everything wrong is found, each with its path."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.structure import from_plain, member_name, to_plain


class Size(Enum):
    small = "S"
    large = "L"


@dataclass
class Shape:
    name: str = ""


@dataclass
class Circle(Shape):
    name: str = "circle"
    radius: float = 1.0


@dataclass
class Square(Shape):
    name: str = "square"
    side: int = 2

    def __post_init__(self) -> None:
        if self.side < 1:
            raise ConfigurationError(f"side is {self.side}; it must be at least 1.")


@dataclass
class Point:
    x: int
    y: int = 0


@dataclass
class Root:
    shape: Shape = field(default_factory=Circle)
    other: Shape | None = None
    size: Size = Size.small
    count: int = 3
    share: float = 0.5
    limit: int | None = None
    either: int | str = 1
    on: bool = False
    words: list[str] = field(default_factory=list)
    named: dict[str, Shape] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    anything: dict[str, Any] = field(default_factory=dict)


FAMILIES = {Shape: [Circle, Square]}


def read(**plain: Any) -> Root:
    return from_plain(Root, plain, FAMILIES)


def problems(**plain: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read(**plain)
    return str(caught.value).splitlines()


shapes = st.one_of(
    st.builds(Circle, radius=st.floats(allow_nan=False, allow_infinity=False)),
    st.builds(Square, side=st.integers(1)),
    st.just(Circle()),
)


@given(
    st.builds(
        Root,
        shape=shapes,
        other=st.none() | shapes,
        size=st.sampled_from(Size),
        count=st.integers(),
        share=st.floats(allow_nan=False, allow_infinity=False),
        limit=st.none() | st.integers(),
        either=st.integers() | st.text(),
        on=st.booleans(),
        words=st.lists(st.text()),
        named=st.dictionaries(st.text(), shapes, max_size=3),
        points=st.lists(st.builds(Point, x=st.integers(), y=st.integers()), max_size=3),
        anything=st.dictionaries(st.text(), st.none() | st.integers() | st.text(), max_size=3),
    )
)
def test_settings_survive_the_way_to_plain_values_and_back(root: Root) -> None:
    assert from_plain(Root, to_plain(root), FAMILIES) == root


def test_plain_values_are_plain() -> None:
    plain = to_plain(Root(shape=Square(side=5), size=Size.large, points=[Point(1)]))
    assert plain["shape"] == {"name": "square", "side": 5}
    assert plain["size"] == "large"  # the name, as Hydra writes it, not the value
    assert plain["points"] == [{"x": 1, "y": 0}]


def test_the_name_chooses_the_member() -> None:
    root = read(shape={"name": "square"}, other={"name": "circle", "radius": 2}, named={"a": {"name": "square"}})
    assert (root.shape, root.other, root.named) == (Square(), Circle(radius=2.0), {"a": Square()})
    assert isinstance(root.other, Circle) and type(root.other.radius) is float  # an int where a float is wanted


def test_what_is_not_given_has_its_default() -> None:
    assert read() == Root()
    assert read(limit=None).limit is None


def test_an_enum_member_passes_too() -> None:
    assert read(size=Size.large).size is Size.large


def test_the_name_of_a_member_is_its_default() -> None:
    assert member_name(Square) == "square"


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"shap": 1}, "shap is no option of the configuration. Did you mean 'shape'?"),
        ({"shape": {"name": "cirlce"}}, "shape.name is 'cirlce'. Did you mean 'circle'? Allowed: circle, square."),
        ({"shape": {"radius": 1.0}}, "shape.name is None. Allowed: circle, square."),
        ({"shape": {"name": "circle", "side": 1}}, "shape.side is no option of shape. Allowed: name, radius."),
        ({"shape": "circle"}, "shape is 'circle', where keys and values are needed."),
        ({"shape": None}, "shape is None, where keys and values are needed."),
        ({"size": "smal"}, "size is 'smal'. Did you mean 'small'? Allowed: large, small."),
        ({"count": "zero"}, "count is 'zero', where a value of type int is needed."),
        ({"count": True}, "count is True, where a value of type int is needed."),
        ({"count": 2.0}, "count is 2.0, where a value of type int is needed."),
        ({"count": None}, "count is None, where a value of type int is needed."),
        ({"share": math.nan}, "share is nan, where a finite number is needed."),
        ({"share": -math.inf}, "share is -inf, where a finite number is needed."),
        ({"share": True}, "share is True, where a value of type float is needed."),
        ({"limit": "x"}, "limit is 'x', where a value of type int is needed."),
        ({"either": 1.5}, "either is 1.5, where int or str is needed."),
        ({"on": 1}, "on is 1, where a value of type bool is needed."),
        ({"words": "ab"}, "words is 'ab', where a list is needed."),
        ({"words": ["a", 2]}, "words[1] is 2, where a value of type str is needed."),
        ({"named": ["a"]}, "named is ['a'], where keys and values are needed."),
        ({"named": {"a": {"name": "line"}}}, "named.a.name is 'line'. Allowed: circle, square."),
        ({"points": [{"y": 1}]}, "points[0].x is needed and not given."),
        ({"shape": {"name": "square", "side": 0}}, "side is 0; it must be at least 1."),
    ],
)
def test_each_problem_is_named_with_its_path(plain: dict[str, Any], message: str) -> None:
    (problem,) = problems(**plain)
    assert problem.startswith(message)


def test_all_problems_are_told_at_once() -> None:
    found = problems(shap=1, count="x", shape={"name": "square", "side": 0}, points=[{"x": "1", "z": 2}])
    assert len(found) == 5
    assert [line.split(" ")[0] for line in found] == ["shap", "count", "side", "points[0].x", "points[0].z"]
