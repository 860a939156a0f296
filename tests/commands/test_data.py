"""`seq2seq-data`: what it prints is what a training would see."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from seq2seq_lightning.commands.data import task
from seq2seq_lightning.errors import ConfigurationError

SMALL: dict[str, Any] = {"name": "reverse", "train_size": 30, "val_size": 5, "test_size": 5, "symbols": 6}


def test_tables_picture_and_json_tell_of_the_same_corpus(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = tmp_path / "corpus.svg"
    task(OmegaConf.create({"data": SMALL, "picture": str(picture)}))
    told = capsys.readouterr().out
    assert "one epoch: 1 batches" in told and "skipped: nothing" in told
    assert picture.read_text(encoding="utf-8").startswith("<?xml")
    task(OmegaConf.create({"data": SMALL, "format": "json"}))
    figures = json.loads(capsys.readouterr().out)
    assert {name: split["pairs"] for name, split in figures["splits"].items()} == {"train": 30, "val": 5, "test": 5}
    assert sum(figures["splits"]["train"]["source"]["lengths"].values()) == 30
    assert f"padding share {figures['padding_share']:.1%}" in told
    assert figures["vocabularies"] == {"source": 10, "target": 10}


def test_a_wrong_picture_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    data = {"name": "tsv", "train": str(tmp_path / "missing.tsv")}
    with pytest.raises(ConfigurationError, match=r"picture=corpus\.bmp"):
        task(OmegaConf.create({"data": data, "picture": "corpus.bmp"}))


def test_a_setting_that_no_training_takes_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"data\.batching\.size is 1, less than trainer\.devices"):
        task(OmegaConf.create({"data": SMALL | {"batching": {"size": 1}}, "trainer": {"devices": 2}}))
