"""Composes the many jobs of a sweep: what they have in common is composed once, then each gets its own values.

Most of the time of a composition goes into merging the files that the groups name, and jobs of a sweep name few
different ones: a seed or a size changes no file.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

from hydra._internal.config_loader_impl import ConfigLoaderImpl, get_overrides_dirname
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

_COMPOSED: dict[tuple[str, ...], DictConfig] = {}  # of this process: launchers hand each job a loader of its own


class SweepLoader(ConfigLoaderImpl):
    """Hydra's loader, with a memory of what it has merged."""

    @staticmethod
    def within(context: HydraContext) -> HydraContext:
        """The same context with such a loader, for launchers to compose with."""
        loader = SweepLoader(config_search_path=context.config_loader.get_search_path())
        return HydraContext(config_loader=loader, callbacks=context.callbacks)

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """What Hydra's own method returns, sooner."""
        parsed = OverridesParser.create().parse_overrides(list(sweep_overrides))
        if any(override.is_hydra_override() for override in parsed):  # may change how all others are read
            return super().load_sweep_config(master_config, sweep_overrides)
        chosen = [override for override in parsed if self._chooses_files(override)]
        config = copy.deepcopy(self._of_files(master_config, [_line(override) for override in chosen]))
        self._apply_overrides_to_config([override for override in parsed if override not in chosen], config)
        _tell_overrides(config, parsed)
        return config

    def _chooses_files(self, override: Override) -> bool:
        """As Hydra decides it (hydra/_internal/defaults_list.py, class Overrides)."""
        return not isinstance(override.value(), dict) and self.repository.group_exists(override.key_or_group)

    def _of_files(self, master: DictConfig, chosen: Sequence[str]) -> DictConfig:
        given = OmegaConf.to_container(master.hydra.overrides.hydra)
        assert isinstance(given, list)
        key = (str(self.config_search_path), master.hydra.job.config_name, *map(str, given), "", *chosen)
        if key not in _COMPOSED:
            _COMPOSED[key] = super().load_sweep_config(master, list(chosen))
        return _COMPOSED[key]


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
