from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seq2seq_lightning.data.example import Corpus, Pair
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.data.tasks.files import BadInputConfig, Policy
from seq2seq_lightning.data.tasks.jsonl import JsonlConfig
from seq2seq_lightning.errors import ConfigurationError, DataError


@pytest.fixture
def write(tmp_path: Path):
    def write(*records: object, name: str = "train.jsonl") -> str:
        lines = (record if isinstance(record, str) else json.dumps(record, ensure_ascii=False) for record in records)
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        return str(tmp_path / name)

    return write


def read(train: str, **options) -> Corpus:
    """The corpus, its training pairs as a list."""
    corpus = build_task(JsonlConfig(train=train, **options)).read()
    return replace(corpus, train=list(corpus.train))


def test_values_are_read_by_name(write):
    file = write({"source": "a", "target": "x", "id": 7}, {"target": "é\n", "source": "b"})
    assert read(file).train == [Pair.of("a", "x"), Pair.of("b", "é\n")]
    assert read(file, source_key="target", target_key="source").train[0] == Pair.of("x", "a")


def test_names_lead_into_nested_records_and_lists(write):
    file = write({"translation": {"en": "a", "de": "x"}, "more": [{"text": "y"}]}, {"translation.en": "b", "d": "z"})
    plain = write({"t": {"en": "a", "de": "x"}}, name="plain.jsonl")
    assert read(plain, source_key="t.en", target_key="t.de").train == [Pair.of("a", "x")]
    nested = {"source_key": "translation.en", "target_key": "more.0.text"}
    with pytest.raises(DataError, match=r"train.jsonl:2: the record has no 'more.0.text', which `data.target_key`"):
        read(file, **nested)
    corpus = read(file, **nested, bad_input=BadInputConfig(missing_key=Policy.skip))
    assert (corpus.train, corpus.skipped) == ([Pair.of("a", "y")], {"train/missing_key": 1})


def test_several_targets_are_references_and_the_first_is_learnt_from(write):
    file = write({"source": "a", "target": ["x", "y"], "others": [["z"], ["w", " "]], "one": "v"})
    corpus = read(file, test={"news": file}, reference_keys=["others", "one"])
    assert corpus.train == [Pair.of("a", "x")]
    assert corpus.test["news"] == [Pair("a", "x", ("x", "y", "z", "w", "v"))]


def test_the_identity_holds_contents_and_names(write):
    file = write({"source": "a", "target": "x"})
    base = build_task(JsonlConfig(train=file)).identity()
    assert build_task(JsonlConfig(train=file, source_key="b")).identity() != base
    changed = write({"source": "a", "target": "y"}, name="b.jsonl")
    assert build_task(JsonlConfig(train=changed)).identity() != base


def test_a_value_cannot_be_two_things():
    with pytest.raises(ConfigurationError, match=r"`data.reference_keys=\['source'\]` are empty or name a value twice"):
        JsonlConfig(reference_keys=["source"])
    with pytest.raises(ConfigurationError, match=r"`data.source_key=`"):
        JsonlConfig(source_key="")
    with pytest.raises(ConfigurationError, match=r"`data=jsonl` needs data.train. For example: data.train=corpus.js"):
        build_task(JsonlConfig())


def test_the_config_is_a_structured_config():
    config = OmegaConf.structured(JsonlConfig)
    config.merge_with_dotlist(["train=a", "test.news=x", "reference_keys=[a.b,c]"])
    built = OmegaConf.to_object(config)
    assert isinstance(built, JsonlConfig) and built.reference_keys == ["a.b", "c"]
