"""Components of other people: an installed distribution offers them by entry points, and our tables take them in.

    [project.entry-points."seq2seq_lightning.cells"]
    mine = "my_package.cells:CELLS"        # a table like our own: {MyCellConfig: MyCell}

    [project.entry-points."seq2seq_lightning.conf"]
    mine = "my_package.conf"               # the package that holds the YAML options

Only what is installed is ever imported: no configuration, record or checkpoint can name a module. A plug-in that
cannot be used is an error, never left out in silence.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any, Generic, TypeVar

from seq2seq_lightning.errors import CheckpointError, ConfigurationError, nearest

PREFIX = "seq2seq_lightning."
CONF = "conf"
TABLES = (
    "cells",
    "attentions",
    "bridges",
    "schedules",
    "objectives",
    "optimizers",
    "learning_rates",
    "searches",
    "tasks",
    "tokenizers",
    "metrics",
)

Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Plugin:
    """An installed distribution that offers components."""

    distribution: str
    version: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}"


OURS = Plugin("seq2seq-lightning", "itself")


class Table(Mapping[Key, Value], Generic[Key, Value]):
    """What there is of one kind: our own entries, then those of installed plug-ins.

    Plug-ins are imported at the first look into the table, not before: they import the modules that hold tables.
    """

    def __init__(self, group: str, base: type, own: Mapping[Key, Value]) -> None:
        """group: the entry points that add to it; base: of the config classes that are its keys, or, where its keys
        are names, of its values."""
        assert group in TABLES
        self.group, self.base, self.own = group, base, own
        self._loading = False

    @cached_property
    def providers(self) -> dict[Key, Plugin]:
        """Where each entry comes from."""
        return {key: plugin for key, (_, plugin) in self._entries.items()}

    @cached_property
    def _entries(self) -> dict[Key, tuple[Value, Plugin]]:
        if self._loading:
            raise ConfigurationError(f"it looks into the table of {self.group} while it is imported")
        self._loading = True
        try:
            entries: dict[Key, tuple[Value, Plugin]] = {key: (value, OURS) for key, value in self.own.items()}
            for point in installed(self.group):
                for key, value in self._offered(point).items():
                    self._check(point, key, value, entries)
                    entries[key] = (value, plugin_of(point))
            return entries
        finally:
            self._loading = False

    def _offered(self, point: EntryPoint) -> Mapping[Any, Any]:
        offered = load(point)
        if not isinstance(offered, Mapping):
            raise refusal(point, f"names {_shown(offered)}, where a table {{config class: component}} is needed")
        return offered

    def _check(self, point: EntryPoint, key: Any, value: Any, entries: Mapping[Any, tuple[Any, Plugin]]) -> None:
        named = isinstance(key, str) and isinstance(value, self.base)
        chosen = isinstance(key, type) and issubclass(key, self.base) and dataclasses.is_dataclass(key)
        if not (named or (chosen and _name(key))):
            raise refusal(
                point,
                f"maps {_shown(key)} to {_shown(value)}; {self.group} takes subclasses of {self.base.__name__} that "
                f"are dataclasses with a name of their own, or names of {self.base.__name__} objects, as our own do",
            )
        for other, (_, plugin) in entries.items():
            if _name(other) == _name(key):
                raise refusal(point, f"offers {_name(key)!r}, which {plugin} offers too; choose another name")

    def __getitem__(self, key: Key) -> Value:
        return self._entries[key][0]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def conf_folders() -> list[tuple[Plugin, Path]]:
    """The folders of YAML options that plug-ins bring."""
    found = []
    for point in installed(CONF):
        places = [Path(place) for place in getattr(load(point), "__path__", [])]
        if not places or not any(places[0].rglob("*.yaml")):
            raise refusal(point, "names no package with YAML files in it")
        found.append((plugin_of(point), places[0]))
    return found


def check_options(ours: Path) -> None:
    """Refuse an option of a plug-in that hides behind one of the same name: Hydra would take the first in silence."""
    owners = {path.relative_to(ours): OURS for path in ours.rglob("*.yaml")}
    for plugin, folder in conf_folders():
        for path in sorted(folder.rglob("*.yaml")):
            option = path.relative_to(folder)
            if option in owners:
                raise ConfigurationError(
                    f"The plug-in {plugin} brings the option {option.with_suffix('')}, which {owners[option]} has "
                    f"too. Rename the file in {plugin.distribution}, or remove it: pip uninstall {plugin.distribution}."
                )
            owners[option] = plugin


def installed(group: str) -> list[EntryPoint]:
    """The entry points of one kind, in an order of their own; a group of ours that does not exist is refused."""
    for point in _all():
        kind = point.group.removeprefix(PREFIX)
        if kind not in (*TABLES, CONF):
            raise refusal(point, f"is in a group that nobody reads. {nearest(kind, (*TABLES, CONF))}")
    return [point for point in _all() if point.group == PREFIX + group]


@cache
def _all() -> list[EntryPoint]:
    """Looked up once: it reads the metadata of every installed distribution."""
    every = entry_points()
    groups = [group for group in every.groups if group.startswith(PREFIX)]
    points = [point for group in groups for point in every.select(group=group)]
    return sorted(points, key=lambda point: (plugin_of(point).distribution, point.group, point.name))


def plugin_of(point: EntryPoint) -> Plugin:
    """The distribution that declares an entry point."""
    return Plugin("?", "?") if point.dist is None else Plugin(point.dist.name, point.dist.version)


def load(point: EntryPoint) -> Any:
    """What an entry point names; ConfigurationError, with the distribution and the reason, where that fails."""
    try:
        return point.load()
    except Exception as error:  # whatever the module of somebody else raises
        raise refusal(point, f"cannot be imported: {type(error).__name__}: {error}") from error


def refusal(point: EntryPoint, problem: str) -> ConfigurationError:
    """What is wrong with an entry point, and what to do."""
    plugin = plugin_of(point)
    return ConfigurationError(
        f"The plug-in {plugin} cannot be used: its entry point `{point.name} = {point.value!r}` of {point.group} "
        f"{problem}. Mend it, or remove it: pip uninstall {plugin.distribution}."
    )


def plugins_of(components: Iterable[object], tables: Iterable[object]) -> dict[str, str]:
    """Distribution → version of the plug-ins that some components (config classes, names) come from."""
    kept = [table for table in tables if isinstance(table, Table)]
    providers = {key: table.providers[key] for key in components for table in kept if key in table.providers}
    return {each.distribution: each.version for each in providers.values() if each is not OURS}


@contextmanager
def needing(plugins: Mapping[str, str], what: str) -> Iterator[None]:
    """Say of a configuration that cannot be read which plug-ins it lacks.

    plugins: distribution → version of those that were in use when it was written; what: the file it comes from.
    """
    try:
        yield
    except ConfigurationError as error:
        missing = [name for name in plugins if name != OURS.distribution and not _is_installed(name)]
        if not missing:
            raise
        wanted = " ".join(f"{name}=={plugins[name]}" for name in missing)
        raise CheckpointError(
            f"{what} needs a plug-in that is not installed: pip install {wanted}. ({_first_line(error)})"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]


def _is_installed(distribution: str) -> bool:
    try:
        version(distribution)
    except PackageNotFoundError:
        return False
    return True


def _name(key: Any) -> str:
    """What an entry goes by: a name, or the default of its config's `name`."""
    if isinstance(key, str):
        return key
    fields = {each.name: each.default for each in dataclasses.fields(key)}
    name = fields.get("name")
    return name if isinstance(name, str) else ""


def _shown(value: Any) -> str:
    return f"{value.__module__}.{value.__qualname__}" if isinstance(value, type) else repr(value)[:60]
