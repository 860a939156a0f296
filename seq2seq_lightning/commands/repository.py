"""Reads each file of a configuration once for all compositions of a process, where Hydra reads it once for each."""

from __future__ import annotations

import copy
from dataclasses import replace

from hydra._internal.config_repository import ConfigRepository
from hydra.plugins.config_source import ConfigResult

_READ: dict[tuple[str, ...], ConfigResult] = {}  # of this process: launchers hand each job a loader of its own


class RememberingRepository(ConfigRepository):
    """Hydra's repository, with a memory. What it gives is to be read: who merges it takes a copy."""

    def load_config(self, config_path: str) -> ConfigResult | None:
        """Called by Hydra, which changes the defaults lists that it gets."""
        key = (*(f"{source.scheme()}://{source.path}" for source in self.sources), config_path)
        found = _READ.get(key) or super().load_config(config_path)
        if found is None:
            return None
        _READ[key] = found
        return replace(found, defaults_list=copy.deepcopy(found.defaults_list))

    def __deepcopy__(self, memo: object) -> RememberingRepository:
        """Hydra takes a copy for each composition, which may be given other sources, never changes in these."""
        return copy.copy(self)
