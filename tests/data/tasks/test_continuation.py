from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.data.tasks.continuation import ContinuationConfig, ContinuationTask
from seq2seq_lightning.data.tasks.files import BadInputConfig, LengthUnit, Policy, Sieve
from seq2seq_lightning.errors import ConfigurationError, DataError

LINES = "one two three four five\nsix\nseven  eight nine\n"
SKIPPING = BadInputConfig(too_short=Policy.skip)


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "train.txt").write_text(LINES, encoding="utf-8")
    return str(tmp_path / "train.txt")


@pytest.mark.parametrize(
    ("options", "pairs"),
    [
        ({}, [("one two", "three four five"), ("seven", "eight nine")]),
        ({"prompt_share": 0.9}, [("one two three four", "five"), ("seven  eight", "nine")]),
        ({"prompt_length": 3}, [("one two three", "four five")]),
        (
            {"prompt_length": 4, "prompt_unit": LengthUnit.characters},
            [("one t", "wo three four five"), ("seve", "n  eight nine")],
        ),
    ],
)
def test_the_rule_decides_where_a_line_is_split(file: str, options: dict, pairs: list[tuple[str, str]]):
    corpus = build_task(ContinuationConfig(train=file, bad_input=SKIPPING, **options)).read()
    assert list(corpus.train) == [Pair.of(*pair) for pair in pairs]
    assert corpus.skipped == {"train/too_short": 3 - len(pairs)}


def test_a_line_with_nothing_to_continue_is_an_error(file: str):
    with pytest.raises(
        DataError, match=r"train.txt:2: a line of 1 words has nothing behind a prompt of 1.*too_short=s"
    ):
        build_task(ContinuationConfig(train=file)).read()


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), st.floats(0.01, 0.99))
@pytest.mark.parametrize("unit", LengthUnit)
def test_prompt_and_rest_are_the_line(unit: LengthUnit, text: str, share: float):
    config = ContinuationConfig(train="x", prompt_share=share, prompt_unit=unit)
    try:
        pair = ContinuationTask(config)._pair(text.encode(), Sieve(config, "train"), "x:1")
    except DataError:
        assert len(text.split()) < 2 or unit is LengthUnit.characters
        return
    assert "".join((pair.source + pair.target).split()) == "".join(text.split())
    assert pair.source and pair.target
    if unit is LengthUnit.characters:
        assert pair.source + pair.target == text.strip()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt_share": 1.0}, r"`data.prompt_share` is 1.0"),
        ({"prompt_length": 0}, r"`data.prompt_length` is 0"),
        ({"prompt_length": 3, "prompt_share": 0.2}, r"`data.prompt_share=0.2` changes nothing"),
    ],
)
def test_impossible_rules_are_refused(options: dict, message: str):
    with pytest.raises(ConfigurationError, match=message):
        ContinuationConfig(**options)


def test_the_rule_is_part_of_the_identity(file: str):
    options = ({}, {"prompt_share": 0.4}, {"prompt_length": 2}, {"prompt_unit": LengthUnit.characters})
    found = [build_task(ContinuationConfig(train=file, **each)).identity() for each in options]
    assert len({tuple(sorted(each.items())) for each in found}) == len(options)
