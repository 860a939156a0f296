from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seq2seq_lightning.data.example import Corpus, Pair
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.data.tasks.files import BadInputConfig, LengthUnit, Policy
from seq2seq_lightning.data.tasks.tsv import TsvConfig
from seq2seq_lightning.errors import ConfigurationError, DataError


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str, name: str = "train.tsv") -> str:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return str(tmp_path / name)

    return write


def read(train: str, **options) -> Corpus:
    """The corpus, its training pairs as a list."""
    corpus = build_task(TsvConfig(train=train, **options)).read()
    return replace(corpus, train=list(corpus.train))


def test_columns_are_chosen_by_number(write):
    table = write("abc\ta b c\tx\nde\td e\ty\n")
    assert read(table).train == [Pair.of("abc", "a b c"), Pair.of("de", "d e")]
    assert read(table, source_column=2, target_column=0).train == [Pair.of("x", "abc"), Pair.of("y", "de")]


def test_further_references_are_read_where_nothing_is_learnt(write):
    table = write("a\tx\tx1\tx2\nb\ty\t\ty2\n")
    corpus = read(table, test={"news": table}, reference_columns=[2, 3])
    assert corpus.train == [Pair.of("a", "x"), Pair.of("b", "y")]
    assert corpus.test["news"] == [Pair("a", "x", ("x", "x1", "x2")), Pair("b", "y", ("y", "y2"))]


def test_splits_are_read_under_their_names(write):
    corpus = read(write("a\tx\n"), val=write("b\ty\n", "val.tsv"), test={"news": write("c\tz\n", "news.tsv")})
    assert corpus == Corpus([Pair.of("a", "x")], [Pair.of("b", "y")], {"news": [Pair.of("c", "z")]}, {})


def test_a_wrong_column_count_is_an_error_or_left_out(write):
    table = write("a\tx\nb\nc\tz\tw\nd\tv\n")
    with pytest.raises(DataError, match=r"train.tsv:2: 1 columns, where the first line has 2.*column_count=skip"):
        read(table)
    corpus = read(table, bad_input=BadInputConfig(column_count=Policy.skip))
    assert corpus.train == [Pair.of("a", "x"), Pair.of("d", "v")]
    assert corpus.skipped == {"train/column_count": 2}


def test_a_table_without_the_column_is_an_error_whatever_the_policy(write):
    with pytest.raises(DataError, match=r"train.tsv:1: the first line has 1 columns, but column 1 \(from 0\)"):
        read(write("a x\n"), bad_input=BadInputConfig(column_count=Policy.skip))
    with pytest.raises(DataError, match=r"has 2 columns, but column 2"):
        read(write("a\tx\n"), test={"news": write("a\tx\n")}, reference_columns=[2])


def test_empty_cells_are_bad_lines(write):
    with pytest.raises(DataError, match=r"train.tsv:2: the target is empty"):
        read(write("a\tx\nb\t\n"))


def test_missing_keys_are_named_with_an_example():
    with pytest.raises(ConfigurationError, match=r"`data=tsv` needs data.train. For example: data.train=corpus.tsv"):
        build_task(TsvConfig())


def test_a_missing_file_names_the_key():
    with pytest.raises(DataError, match=r"`data.train=missing.tsv`: cannot open .*missing.tsv"):
        build_task(TsvConfig(train="missing.tsv")).identity()


def test_impossible_columns_are_refused():
    with pytest.raises(ConfigurationError, match="counts columns from 0, but -1 is given"):
        TsvConfig(source_column=-1)
    with pytest.raises(ConfigurationError, match=r"`data.reference_columns=\[1\]` name a column twice"):
        TsvConfig(reference_columns=[1])


def test_the_identity_holds_contents_and_columns(write):
    table = write("a\tx\n")
    base = build_task(TsvConfig(train=table)).identity()
    assert build_task(TsvConfig(train=write("a\tx\n", "other.tsv"))).identity() == base
    assert build_task(TsvConfig(train=write("a\ty\n", "changed.tsv"))).identity() != base
    assert build_task(TsvConfig(train=table, source_column=1, target_column=0)).identity() != base
    assert build_task(TsvConfig(train=table, test={"news": table})).identity()["test.news"] == base["train"]


def test_the_config_is_a_structured_config(write):
    config = OmegaConf.structured(TsvConfig)
    config.merge_with_dotlist(
        [f"train={write('a	x')}", "test.news=x.tsv", "reference_columns=[2,3]", "target_column=4"]
    )
    built = OmegaConf.to_object(config)
    assert isinstance(built, TsvConfig)
    assert (built.test, built.val, built.reference_columns) == ({"news": "x.tsv"}, None, [2, 3])


HEADED = "lemma\tpos\tform\tother\na\tN\tx\tx1\nb\tV\ty\t\n"


def test_columns_are_chosen_by_name(write):
    named = {"source_column": "lemma", "target_column": "form", "reference_columns": ["other"]}
    corpus = read(write(HEADED), test={"news": write(HEADED, "news.tsv")}, **named)
    assert corpus.train == [Pair.of("a", "x"), Pair.of("b", "y")]
    assert corpus.test["news"] == [Pair("a", "x", ("x", "x1")), Pair.of("b", "y")]
    assert read(write(HEADED), source_column="lemma", target_column=2).train == corpus.train
    assert read(write(HEADED), header=True, target_column=2).train == corpus.train


def test_names_of_columns_are_looked_up_in_each_file(write):
    swapped = write("form\tlemma\nz\tc\n", "news.tsv")
    corpus = read(write(HEADED), test={"news": swapped}, source_column="lemma", target_column="form")
    assert corpus.test["news"] == [Pair.of("c", "z")]


def test_a_name_that_no_column_or_more_than_one_has_is_refused(write):
    with pytest.raises(DataError, match=r"train.tsv:1: no column has the name 'lema'. Did you mean 'lemma'"):
        read(write(HEADED), source_column="lema")
    with pytest.raises(DataError, match=r"train.tsv:1: 2 columns have the name 'a'.*by its number"):
        read(write("a\ta\tb\nx\ty\tz\n"), source_column="a", target_column="b")
    with pytest.raises(DataError, match=r"train.tsv:1: lemma, 0 are not all columns of their own"):
        read(write(HEADED), source_column="lemma", target_column=0)
    with pytest.raises(DataError, match=r"no pairs to read for `train` \(no lines\)"):
        read(write("a\tb\n"), header=True)


def test_the_header_counts_for_the_identity(write):
    table = write(HEADED)
    identities = [
        build_task(TsvConfig(train=table, **options)).identity()
        for options in ({}, {"header": True}, {"source_column": "lemma"}, {"source_column": "pos"})
    ]
    assert len({tuple(sorted(identity.items())) for identity in identities}) == 4
    assert "header" not in identities[0]


def test_columns_by_name_travel_through_a_structured_config():
    config = OmegaConf.structured(TsvConfig)
    config.merge_with_dotlist(["train=x.tsv", "source_column=lemma", "reference_columns=[other,3]"])
    built = OmegaConf.to_object(config)
    assert isinstance(built, TsvConfig)
    assert built.columns == ["lemma", 1, "other", 3]


def test_symbols_settled_beforehand_are_part_of_the_identity(write):
    table, symbols = write("a\tx\n"), write("x\n", "symbols")
    base = build_task(TsvConfig(train=table)).identity()
    settled = build_task(TsvConfig(train=table, target_symbols=symbols)).identity()
    assert settled.items() > base.items()
    assert build_task(TsvConfig(train=table, source_symbols=symbols)).identity() != settled
    with pytest.raises(ConfigurationError, match=r"`data.symbol_unit=characters` changes nothing without a file"):
        TsvConfig(train=table, symbol_unit=LengthUnit.characters)
