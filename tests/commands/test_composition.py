"""Jobs of a sweep compose to what Hydra itself composes, whatever they change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from omegaconf import DictConfig, OmegaConf

from seq2seq_lightning.command_config import AblateConfig
from seq2seq_lightning.commands import composition
from seq2seq_lightning.commands.application import plain
from seq2seq_lightning.commands.composition import SweepLoader
from seq2seq_lightning.config import FAMILIES
from seq2seq_lightning.config_store import conf_dir, register_schemas
from seq2seq_lightning.experiments.ablation import expand
from seq2seq_lightning.structure import from_plain


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
        ["experiment=context_size", "model.encoder.hidden_size=48", "data.train_max_length=7"],  # others refer to these
        ["~trainer", "seed=4"],
        ["data=sort", "~data.held_out.longer", "data.held_out.far=[50,60]", "data.train_size='${seed}'"],
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
        assert values(hydra, master, overrides) == plain(expected)


def values(hydra: HydraContext, master: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
    loader = SweepLoader.within(hydra).config_loader
    assert isinstance(loader, SweepLoader)
    return loader.values(master, overrides)


WRONG = [
    "seeed=1",
    "trainer.max_steps=many",
    "model/cell=gruu",
    "nothing/there=1",
    "+seed=2",
    "trainer=[",
    "seed",
]


@pytest.mark.parametrize("wrong", WRONG)
def test_mistakes_are_told_in_the_same_words(wrong: str, context: tuple[HydraContext, DictConfig]) -> None:
    hydra, master = context
    with pytest.raises(HydraException) as expected:
        hydra.config_loader.load_sweep_config(master, [wrong])
    with pytest.raises(type(expected.value)) as caught:
        SweepLoader.within(hydra).config_loader.load_sweep_config(master, [wrong])
    assert str(caught.value) == str(expected.value)
    with pytest.raises(type(expected.value)) as caught:
        values(hydra, master, [wrong])
    assert str(caught.value) == str(expected.value)


def test_a_section_is_resolved_once_for_all_jobs_that_change_it_alike(context: tuple[HydraContext, DictConfig]) -> None:
    hydra, master = context
    values(hydra, master, ["seed=1", "trainer.max_steps=7"])
    count = len(composition._SECTIONS)
    first, again = (values(hydra, master, [f"seed={seed}", "trainer.max_steps=7"]) for seed in (1, 2))
    assert len(composition._SECTIONS) == count + 1  # the second seed
    first["trainer"]["max_steps"] = 8
    assert again["trainer"]["max_steps"] == 7  # what is done to one job is not done to the next


def test_files_are_merged_once_for_all_seeds(context: tuple[HydraContext, DictConfig]) -> None:
    hydra, master = context
    loader = SweepLoader.within(hydra).config_loader
    composition._COMPOSED.clear()
    seeds = [loader.load_sweep_config(master, [f"seed={seed}", "model/cell=lstm"]).seed for seed in (1, 2, 3)]
    assert seeds == [1, 2, 3] and len(composition._COMPOSED) == 1


@pytest.mark.very_slow
@pytest.mark.parametrize("name", sorted(path.stem for path in Path(conf_dir()).glob("ablation/*.yaml")))
def test_every_shipped_trial_composes_to_what_hydra_composes(
    name: str, context: tuple[HydraContext, DictConfig]
) -> None:
    """Every cell; of the seeds, which change no more than themselves, the first."""
    hydra, master = context
    file = hydra.config_loader.load_configuration("ablate", [f"ablation={name}"], RunMode.RUN)
    ablation = from_plain(AblateConfig, plain(file), FAMILIES).ablation
    for trial in expand(ablation):
        if trial.seed == ablation.seeds[0]:
            expected = plain(hydra.config_loader.load_sweep_config(master, trial.overrides))
            assert values(hydra, master, trial.overrides) == expected, trial
