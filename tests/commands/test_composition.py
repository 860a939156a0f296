"""Jobs of a sweep compose to what Hydra itself composes, whatever they change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from seq2seq_lightning.commands import composition
from seq2seq_lightning.commands.composition import SweepLoader
from seq2seq_lightning.config_store import conf_dir, register_schemas


@pytest.fixture(scope="module")
def context() -> Iterator[tuple[HydraContext, DictConfig]]:
    register_schemas()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        master = loader.load_configuration("train", ["hydra.job.id=7"], RunMode.MULTIRUN)
        yield HydraContext(config_loader=loader, callbacks=Callbacks(master)), master


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["seed=3", "name=other"],
        ["model/cell=gru", "seed=1"],
        ["seed=2", "model.encoder.layers=2", "model/cell=gru", "+decodings=[{name:beam}]"],
        ["experiment=reverse", "decoding=beam", "decoding.beam_width=4"],
        ["model/cell@model.decoder.cell=lstm", "model/bridge=zero"],
        ["trainer.extra={fast_dev_run:false}", "hydra.job.num=4"],
    ],
    ids=" ".join,
)
def test_a_job_composes_to_what_hydra_composes(overrides: list[str], context: tuple[HydraContext, DictConfig]) -> None:
    hydra, master = context
    expected = hydra.config_loader.load_sweep_config(master, overrides)
    for _ in range(2):  # the second time from memory
        composed = SweepLoader.within(hydra).config_loader.load_sweep_config(master, overrides)
        assert OmegaConf.to_container(composed) == OmegaConf.to_container(expected)
        assert OmegaConf.is_struct(composed) == OmegaConf.is_struct(expected)


@pytest.mark.parametrize("wrong", ["seeed=1", "trainer.max_steps=many", "model/cell=gruu", "nothing/there=1"])
def test_mistakes_are_told_in_the_same_words(wrong: str, context: tuple[HydraContext, DictConfig]) -> None:
    hydra, master = context
    with pytest.raises(HydraException) as expected:
        hydra.config_loader.load_sweep_config(master, [wrong])
    with pytest.raises(type(expected.value)) as caught:
        SweepLoader.within(hydra).config_loader.load_sweep_config(master, [wrong])
    assert str(caught.value) == str(expected.value)


def test_files_are_merged_once_for_all_seeds(context: tuple[HydraContext, DictConfig]) -> None:
    hydra, master = context
    loader = SweepLoader.within(hydra).config_loader
    composition._COMPOSED.clear()
    seeds = [loader.load_sweep_config(master, [f"seed={seed}", "model/cell=lstm"]).seed for seed in (1, 2, 3)]
    assert seeds == [1, 2, 3] and len(composition._COMPOSED) == 1
