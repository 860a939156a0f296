"""Offers every configuration class to Hydra as a schema, by walking the tables of components."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_args, get_origin, get_type_hints

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf

from seq2seq_lightning.command_config import (
    AblateConfig,
    BenchmarkConfig,
    DescribeConfig,
    EvaluateConfig,
    TranslateConfig,
)
from seq2seq_lightning.config import FAMILIES, GROUPS, Config
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.ablation_config import AblationConfig
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.structure import member_name
from seq2seq_lightning.text.sides import TextConfig
from seq2seq_lightning.training.settings import CheckpointConfig, TrainerConfig, ValidationConfig

SECTIONS: dict[str, type] = {
    "text": TextConfig,
    "model": ModelConfig,
    "validation": ValidationConfig,
    "trainer": TrainerConfig,
    "checkpoint": CheckpointConfig,
    "ablation": AblationConfig,
}
COMMANDS: dict[str, type] = {
    "train": Config,
    "evaluate": EvaluateConfig,
    "translate": TranslateConfig,
    "ablate": AblateConfig,
    "benchmark": BenchmarkConfig,
    "describe": DescribeConfig,
}


def register_schemas() -> None:
    """Store one schema per component under `schema/<group>`, and one per command; those that are there are left."""
    store = ConfigStore.instance()
    # Hydra copies the store whole whenever it looks into a group, hundreds of times for --help; what it loads is a copy
    # anyway
    store.__deepcopy__ = lambda memo: store  # type: ignore[attr-defined]
    stored: dict[tuple[str, str], type] = store.__dict__.setdefault("seq2seq_lightning", {})
    for (group, name), cls in _schemas().items():
        if stored.get((group, name)) is not cls:
            store.store(group=group, name=name, node=open_schema(cls))
            stored[group, name] = cls


def _schemas() -> dict[tuple[str, str], type]:
    """(group, name) → class."""
    members = {
        (f"schema/{group}", member_name(each)): each for group, base in GROUPS.items() for each in FAMILIES[base]
    }
    sections = {(f"schema/{group}", group): cls for group, cls in SECTIONS.items()}
    return members | sections | {("schema", name): cls for name, cls in COMMANDS.items()}


def open_schema(cls: type) -> DictConfig:
    """The class as a schema in which every choice of a component is still open.

    A default component of one type could not be replaced by another; the YAML files name the defaults instead.
    """
    schema = OmegaConf.structured(cls)
    _open(cls, schema)
    return schema


def _open(cls: type, node: DictConfig) -> None:
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        kinds = {hints[field.name], *get_args(hints[field.name])}
        if kinds & FAMILIES.keys():
            node[field.name] = None if type(None) in kinds else MISSING
        elif dataclasses.is_dataclass(hints[field.name]):
            _open(hints[field.name], node[field.name])
        elif get_origin(hints[field.name]) is dict:
            OmegaConf.set_struct(node[field.name], False)  # new keys, such as data.test.<name>.source, need no +


def conf_dir() -> str:
    """The folder of the shipped YAML files: inside an installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent
    for folder in (package / "conf", package.parent / "conf"):
        if (folder / "train.yaml").is_file():
            return str(folder)
    raise ConfigurationError(f"The folder conf/ is missing beside {package}: install the package again.")
