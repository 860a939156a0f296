"""Consecutive pairs joined to longer ones: nothing is lost, in the splits asked for only."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seq2seq_lightning.data.example import Corpus, Pair
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.data.tasks.concatenation import joined
from seq2seq_lightning.data.tasks.files import BadInputConfig, Policy
from seq2seq_lightning.data.tasks.tsv import TsvConfig
from seq2seq_lightning.errors import ConfigurationError


@given(st.integers(0, 20), st.integers(1, 6))
def test_every_pair_is_in_one_of_the_joined_ones_in_order(rows: int, count: int):
    pairs = [Pair.of(f"s{row}", f"t{row}") for row in range(rows)]
    groups = list(joined(pairs, count))
    assert [word for pair in groups for word in pair.source.split()] == [pair.source for pair in pairs]
    assert [word for pair in groups for word in pair.target.split()] == [pair.target for pair in pairs]
    assert all(len(pair.source.split()) == count for pair in groups[:-1])
    assert all(pair.references == (pair.target,) for pair in groups)


def test_where_references_are_missing_the_target_stands_in():
    pairs = [Pair("a", "x", ("x", "x1", "x2")), Pair("b", "y", ("y", "y1")), Pair.of("c", "z")]
    assert list(joined(pairs, 3)) == [Pair("a b c", "x y z", ("x y z", "x1 y1 z", "x2 y z"))]


@pytest.fixture
def table(tmp_path: Path) -> str:
    (tmp_path / "table.tsv").write_text("a\tx\n\ty\nb\ty\nc\tz\n", encoding="utf-8")
    return str(tmp_path / "table.tsv")


def read(table: str, **options) -> Corpus:
    sets = {"one": table, "two": table}
    skipping = BadInputConfig(empty=Policy.skip)
    config = TsvConfig(train=table, val=table, test=sets, bad_input=skipping, max_length=1, **options)
    return build_task(config).read()


def sources(corpus: Corpus) -> list[list[str]]:
    splits = [corpus.train, corpus.val or [], *corpus.test.values()]
    return [[pair.source for pair in pairs] for pairs in splits]


@pytest.mark.parametrize(
    ("splits", "joined_ones"),
    [
        (["train", "val", "test"], [True, True, True, True]),
        (["test"], [False, False, True, True]),
        (["train", "test.two"], [True, False, False, True]),
    ],
)
def test_the_splits_named_are_joined_after_their_lines_were_checked(table: str, splits: list[str], joined_ones):
    corpus = read(table, concatenate=2, concatenate_splits=splits)
    assert sources(corpus) == [["a b", "c"] if each else ["a", "b", "c"] for each in joined_ones]
    assert len(corpus.train) == len(list(corpus.train)) == len(list(corpus.train))
    assert corpus.skipped == {f"{split}/empty": 1 for split in ("train", "val", "test/one", "test/two")}


def test_joining_is_part_of_the_identity(table: str):
    def identity(**options) -> dict[str, str]:
        return build_task(TsvConfig(train=table, **options)).identity()

    assert "concatenate" not in identity()
    found = [
        identity(concatenate=2),
        identity(concatenate=3),
        identity(concatenate=2, concatenate_splits=["train"]),
        identity(),
    ]
    assert len({tuple(sorted(each.items())) for each in found}) == 4
    assert identity(concatenate=2, concatenate_splits=["test", "val", "train"]) == identity(concatenate=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concatenate": 0}, r"`data.concatenate` is 0; set it to 1"),
        ({"concatenate_splits": ["test"]}, r"`data.concatenate_splits=\['test'\]` changes nothing"),
        ({"concatenate": 2, "concatenate_splits": []}, r"`data.concatenate_splits=\[\]` leaves"),
        ({"concatenate": 2, "concatenate_splits": ["test.on"]}, r"names 'test.on'. Did you mean 'test.one'"),
    ],
)
def test_what_would_join_nothing_is_refused(table: str, options: dict, message: str):
    with pytest.raises(ConfigurationError, match=message):
        read(table, **options)
