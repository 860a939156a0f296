"""The presets under `conf/model` are the models that their comments and the docs say they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hydra import compose, initialize_config_dir

from seq2seq_lightning.commands.application import plain
from seq2seq_lightning.config import Config
from seq2seq_lightning.config_store import conf_dir, register_schemas
from seq2seq_lightning.models.cells import LNGRUConfig
from seq2seq_lightning.models.decoder_config import Query
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.models.seq2seq import Seq2Seq
from tests.models.variants import PAD


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    register_schemas()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        yield


def preset(name: str, *overrides: str) -> ModelConfig:
    return Config.from_plain(plain(compose("train", [f"model={name}", *overrides]))).model.completed()


@pytest.mark.parametrize(
    ("name", "parameters"), [("bottleneck", 13_898_501), ("cho", 14_219_781), ("bahdanau", 20_518_405)]
)
def test_the_ladder_has_the_published_parameter_counts(name: str, parameters: int) -> None:
    """Vocabularies of 7,853 and 5,893 entries; printed in the notebooks of bentrevett/pytorch-seq2seq."""
    with torch.device("meta"):
        model = Seq2Seq(preset(name), 7853, 5893, PAD)
    assert sum(values.numel() for values in model.parameters()) == parameters


def test_the_conditional_preset_has_the_sizes_of_its_source() -> None:
    model = preset("conditional")
    encoder, decoder = model.encoder, model.decoder
    assert isinstance(encoder.cell, LNGRUConfig)
    assert (encoder.embedding_size, encoder.hidden_size, encoder.output_size) == (128, 256, 512)
    assert (decoder.embedding_size, decoder.hidden_size, decoder.query) == (128, 256, Query.between)
    assert (encoder.dropout.embedding, encoder.dropout.output, decoder.dropout.output) == (0.3, 0.5, 0.5)
    assert model.bridge is not None and model.bridge.takes_states()
    assert not model.is_fusible
