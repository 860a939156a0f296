"""Composes the many jobs of a sweep: what they have in common is composed once, then each gets its own values.

Most of the time of a composition goes into merging the files that the groups name, and jobs of a sweep name few
different ones: a seed or a size changes no file. What is left goes into copying and resolving sections, of which a job
changes few; where only the plain values are wanted, the others are taken from memory.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra._internal.config_repository import IConfigRepository
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.default_element import ResultDefault
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from seq2seq_lightning.commands.application import plain
from seq2seq_lightning.commands.repository import RememberingRepository

_COMPOSED: dict[tuple[str, ...], DictConfig] = {}  # of this process: launchers hand each job a loader of its own
_SECTIONS: dict[tuple[str, ...], Any] = {}  # plain values of a section of these, with overrides of its own


class _Entangled(Exception):
    """The values of this job cannot be told section by section."""


class SweepLoader(ConfigLoaderImpl):
    """Hydra's loader, with a memory of what it has merged."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository = RememberingRepository(config_search_path)
        self._is_group: dict[str, bool] = {}

    @staticmethod
    def within(context: HydraContext) -> HydraContext:
        """The same context with such a loader, for launchers to compose with."""
        loader = SweepLoader(config_search_path=context.config_loader.get_search_path())
        return HydraContext(config_loader=loader, callbacks=context.callbacks)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """What Hydra's own method returns, sooner."""
        parsed = [_parsed(line) for line in sweep_overrides]
        if any(override.is_hydra_override() for override in parsed):  # may change how all others are read
            return super().load_sweep_config(master_config, sweep_overrides)
        chosen, own = self._divided(parsed)
        config = copy.deepcopy(self._of_files(master_config, chosen))
        self._apply_overrides_to_config(own, config)
        _tell_overrides(config, parsed)
        return config

    def values(self, master: DictConfig, overrides: Sequence[str]) -> dict[str, Any]:
        """The plain values of load_sweep_config, sooner still: a section with the same overrides is told from memory.

        A mistake, and whatever reaches from one section into another, is left to load_sweep_config.
        """
        try:
            return self._by_sections(master, [_parsed(line) for line in overrides])
        except (HydraException, OmegaConfBaseException, _Entangled):
            return plain(self.load_sweep_config(master, list(overrides)))

    def _by_sections(self, master: DictConfig, parsed: Sequence[Override]) -> dict[str, Any]:
        chosen, own = self._divided(parsed)
        config = self._of_files(master, chosen)
        given: dict[str, list[Override]] = {}
        for override in own:
            name, _, inside = override.key_or_group.partition(".")
            changes_sections = not inside and (override.is_add() or override.is_delete() or override.is_force_add())
            if name == "hydra" or name not in config or changes_sections:
                raise _Entangled
            given.setdefault(name, []).append(override)
        files = self._named(master, chosen)
        return {str(name): _section(files, config, str(name), given.get(str(name), [])) for name in _own_names(config)}

    def _load_single_config(self, default: ResultDefault, repo: IConfigRepository) -> ConfigResult:
        """What is merged must not be what is remembered; under a package it is a copy already."""
        loaded = super()._load_single_config(default, repo)
        assert default.config_path is not None
        remembered = repo.load_config(default.config_path)
        is_copy = remembered is None or loaded.config is not remembered.config
        return loaded if is_copy else replace(loaded, config=copy.deepcopy(loaded.config))

    def _divided(self, parsed: Sequence[Override]) -> tuple[list[Override], list[Override]]:
        """Those that choose files, as Hydra decides it (hydra/_internal/defaults_list.py, class Overrides); others."""
        chosen = [each for each in parsed if not isinstance(each.value(), dict) and self._names_group(each)]
        return chosen, [each for each in parsed if each not in chosen]

    def _names_group(self, override: Override) -> bool:
        key = override.key_or_group
        if key not in self._is_group:
            self._is_group[key] = self.repository.group_exists(key)
        return self._is_group[key]

    def _named(self, master: DictConfig, chosen: Sequence[Override]) -> tuple[str, ...]:
        """All that decides what the files of a job make together."""
        given = OmegaConf.to_container(master.hydra.overrides.hydra)
        assert isinstance(given, list)
        lines = [_line(override) for override in chosen]
        return (str(self.config_search_path), master.hydra.job.config_name, *map(str, given), "", *lines)

    def _of_files(self, master: DictConfig, chosen: Sequence[Override]) -> DictConfig:
        key = self._named(master, chosen)
        if key not in _COMPOSED:
            _COMPOSED[key] = super().load_sweep_config(master, [_line(override) for override in chosen])
        return _COMPOSED[key]


def _section(files: tuple[str, ...], config: DictConfig, name: str, own: Sequence[Override]) -> Any:
    """Values of one section as if there were no other: a reference to another does not resolve, and raises."""
    key = (*files, "", name, *map(_line, own))
    if key not in _SECTIONS:
        alone = OmegaConf.masked_copy(config, name)
        OmegaConf.set_struct(alone, True)
        ConfigLoaderImpl._apply_overrides_to_config(list(own), alone)
        _SECTIONS[key] = plain(alone)[name]
    return copy.deepcopy(_SECTIONS[key])


def _own_names(config: DictConfig) -> list[Any]:
    return [name for name in config if name != "hydra"]


@cache
def _parsed(line: str) -> Override:
    (override,) = OverridesParser.create().parse_overrides([line])
    return override


def _line(override: Override) -> str:
    assert override.input_line is not None
    return override.input_line


def _tell_overrides(config: DictConfig, parsed: Sequence[Override]) -> None:
    """Hydra's own notes of what a job was given."""
    shape = config.hydra.job.config.override_dirname
    config.hydra.overrides.task = [_line(override) for override in parsed]
    config.hydra.job.override_dirname = get_overrides_dirname(
        list(parsed), kv_sep=shape.kv_sep, item_sep=shape.item_sep, exclude_keys=shape.exclude_keys
    )
