"""The benchmark's options and its JSON; one tiny run from end to end. No figure is compared with anything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

from seq2seq_lightning.command_config import BenchmarkConfig
from seq2seq_lightning.commands.application import plain
from seq2seq_lightning.commands.benchmark import Measured, report
from seq2seq_lightning.config import Config
from seq2seq_lightning.config_store import conf_dir, register_schemas
from seq2seq_lightning.data.tasks.parallel import ParallelConfig
from seq2seq_lightning.decoding import BeamConfig, GreedyConfig
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.record import Record
from seq2seq_lightning.models.attention.general import GeneralAttentionConfig
from seq2seq_lightning.models.bridges.copy import CopyBridgeConfig
from seq2seq_lightning.models.cells.lstm import LSTMConfig
from seq2seq_lightning.models.decoder_config import Context, Query
from seq2seq_lightning.models.stack import Direction
from seq2seq_lightning.throughput import ProductRate, SearchRate, Spread, TrainingRate, Work
from tests.terminal import only_run, seq2seq


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    register_schemas()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        yield


def composed(*overrides: str) -> BenchmarkConfig:
    return BenchmarkConfig.from_plain(plain(compose("benchmark", list(overrides))))


# -- options -----------------------------------------------------------------------------------------------------------


def test_the_setting_is_the_published_one() -> None:
    config = composed().training()
    model = config.model
    assert isinstance(model.cell, LSTMConfig)
    assert isinstance(model.attention, GeneralAttentionConfig)
    assert isinstance(model.bridge, CopyBridgeConfig)
    assert (model.encoder.layers, model.encoder.hidden_size, model.encoder.embedding_size) == (1, 256, 256)
    assert (model.decoder.layers, model.decoder.hidden_size, model.decoder.embedding_size) == (1, 512, 256)
    assert model.encoder.direction is Direction.bidirectional
    assert (model.decoder.context, model.decoder.query) == (Context.attention, Query.current)
    assert not model.decoder.input_feeding
    assert model.decoder.readout_size(512) == 512
    assert config.data.batching.size == 64
    assert (config.text.source.min_frequency, config.text.target.min_frequency) == (2, 2)
    assert (config.optimizer.name, config.optimizer.learning_rate, config.optimizer.clip_norm) == ("adam", 1e-3, 1.0)
    assert config.teacher_forcing.ratio == 1.0  # type: ignore[attr-defined]


def test_updates_and_warm_up_make_the_training_s_length_and_it_is_always_trained_anew() -> None:
    config = composed("updates=70", "warmup=20", "threads=3").training()
    assert type(config) is Config
    assert (config.trainer.max_steps, config.trainer.max_epochs, config.trainer.threads) == (90, None, 3)
    assert config.fresh


def test_text_is_given_like_that_of_any_training() -> None:
    config = composed("data=parallel", "data.train.source=a.en", "data.train.target=a.de", "data.test.x.source=b.en")
    assert isinstance(config.data, ParallelConfig)
    assert config.data.train.source == "a.en"
    assert config.data.batching.same_source_length


def test_searches_are_chosen_and_adjusted_by_name() -> None:
    searches = composed("decodings.beam.beam_width=7", "+decoding@decodings.other=greedy").searches()
    assert [type(each) for each in searches.values()] == [GreedyConfig, BeamConfig, GreedyConfig]
    assert searches["beam"].beam_width == 7  # type: ignore[attr-defined]
    assert list(composed("~decodings.beam").searches()) == ["greedy"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("updates=9", "updates is 9; it must be at least 10."),
        ("warmup=-1", "warmup is -1; it must be at least 0."),
        ("passes=0", "passes is 0; it must be at least 1."),
        ("batch_sizes=[32,0]", "batch_sizes names 0; a batch has at least 1 sentence."),
        ("decodings.beam.alpha=-1", "decoding.alpha=-1.0 is negative."),
        ("model.encoder.hidden_size=33", "`model/bridge=copy` needs equal sizes"),
    ],
)
def test_what_cannot_be_measured_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        composed(override)
    assert message in str(caught.value)


# -- figures -----------------------------------------------------------------------------------------------------------

KEYS = {
    "schema": int,
    "commit": str,
    "dirty": bool,
    "versions": dict,
    "hardware": dict,
    "threads": int,
    "devices": int,
    "load_average": list,
    "started": str,
    "overrides": list,
    "fingerprint": str,
    "data": dict,
    "parameters": int,
    "products": list,
    "peak": dict,
    "training": dict,
    "searches": list,
}
TRAINING_KEYS = {
    "windows", "target_tokens_per_second", "sentences_per_second", "milliseconds_per_update",
    "target_tokens_per_update", "useful_gflops", "batch_size", "batch_unit", "precision", "matmul_precision", "updates",
    "warmup", "share_of_peak", "megaflops_per_target_token", "work", "padding_share", "peak_memory_bytes",
}  # fmt: skip
SEARCH_KEYS = {
    "name", "decoding", "batch_size", "sentences", "passes", "sentences_per_second", "labels_per_second",
    "labels_per_sentence", "finished_share", "useful_gflops", "share_of_peak",
}  # fmt: skip


def has_the_schema(figures: dict) -> None:
    assert {key: type(value) for key, value in figures.items()} == KEYS
    assert set(figures["training"]) == TRAINING_KEYS
    assert all(set(each) == SEARCH_KEYS for each in figures["searches"])
    for rate in (figures["training"]["target_tokens_per_second"], figures["searches"][0]["sentences_per_second"]):
        assert set(rate) == {"median", "min", "max"}


def test_figures_tell_shares_of_the_peak_and_neither_paths_nor_the_machine_s_name() -> None:
    config = composed("data.train_size=30", "updates=10", "warmup=0")
    spread = Spread(50.0, 40.0, 60.0)
    record = Record(
        status="completed",
        name="benchmark",
        fingerprint="0" * 12,
        training_version=1,
        config=config.training().to_plain(),
        seed=1,
        overrides=["data.train.source=/home/somebody/train.en", "updates=10"],
        commit="0" * 40,
        dirty=False,
        versions={"torch": "2"},
        hardware={"cpu": "Some CPU", "cores": 2, "host": "somewhere"},
        parameters=5,
        data={"sizes": {"train": 30}, "identity": {}},
        timings={"padding_share": 0.25, "peak_memory_bytes": 9},
        started="2026-01-01T00:00:00+00:00",
    )
    record.config["trainer"]["threads"] = 2
    measured = Measured(
        products=[
            ProductRate("float32, highest", (1, 2, 3), 80.0, 70.0, 1e-7),
            ProductRate("float32, highest", (4, 5, 6), 100.0, 90.0, None),
            ProductRate("bfloat16", (4, 5, 6), 400.0, 300.0, None),
        ],
        training=TrainingRate(1, spread, spread, spread, 7.0, spread),
        work=Work(flops_per_label=44.676e6, labels_per_sentence=13.0, shares={"output": 1.0}),
        searches={"beam": [SearchRate(32, 10, 3, spread, spread, 4.0, 1.0, Spread(20.0, 10.0, 30.0))]},
        load=[0.5, 1.5],
    )
    figures = json.loads(json.dumps(report(measured, record, config)))
    has_the_schema(figures)
    assert figures["peak"] == {"arithmetic": "float32, highest", "gflops": 100.0}
    assert figures["training"]["share_of_peak"] == 0.5
    assert figures["training"]["megaflops_per_target_token"] == 44.68
    assert figures["searches"][0]["share_of_peak"] == 0.2
    assert figures["searches"][0]["decoding"]["beam_width"] == 5
    assert figures["hardware"] == {"cpu": "Some CPU", "cores": 2}
    assert figures["overrides"] == ["data.train.source=train.en", "updates=10"]


@pytest.mark.slow
def test_a_tiny_benchmark_measures_everything(tmp_path: Path) -> None:
    small = ["data.train_size=300", "data.val_size=20", "data.test_size=6", "data.symbols=9", "threads=1"]
    small += [f"model.{side}.{size}_size=8" for side in ("encoder", "decoder") for size in ("embedding", "hidden")]
    small += ["model/bridge=dense", "model.decoder.readout.size=8", "trainer.accelerator=cpu"]
    options = ["updates=20", "warmup=10", "passes=2", "batch_sizes=[2,4]", "output=figures.json"]
    ended = seq2seq("benchmark", *small, *options, folder=tmp_path)
    assert "No text was given" in ended.out
    assert "target tokens/s" in ended.out
    figures = json.loads((tmp_path / "figures.json").read_text("utf-8"))
    has_the_schema(figures)
    assert figures["training"]["windows"] == 2
    assert [(each["name"], each["batch_size"]) for each in figures["searches"]] == [
        ("greedy", 2), ("greedy", 4), ("beam", 2), ("beam", 4),
    ]  # fmt: skip
    assert {each["finished_share"] for each in figures["searches"]} == {1.0}  # as long as the references
    assert (tmp_path / "figures.md").read_text("utf-8").startswith("- ")
    run = only_run(tmp_path)
    assert run.parent.name == "benchmark"
    assert not (run / "decodings").exists()  # nothing was scored
