"""Tables that installed distributions add to: what is taken in, when it is imported, and how it is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

from seq2seq_lightning import plugins
from seq2seq_lightning.config import FAMILIES, Config, fingerprint, plugins_used
from seq2seq_lightning.errors import CheckpointError, ConfigurationError
from seq2seq_lightning.metrics import METRICS, Metric, MetricsConfig
from seq2seq_lightning.models.cells import CELLS
from seq2seq_lightning.models.cells.cell import CellConfig
from seq2seq_lightning.models.cells.gru import GRU, GRUConfig
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.plugins import OURS, Plugin, Table, check_options, conf_folders, installed, needing
from tests.terminal import seq2seq

Install = Callable[..., None]

CODE = """
from dataclasses import dataclass
from seq2seq_lightning.models.cells.cell import Cell, CellConfig

@dataclass
class LeakyConfig(CellConfig):
    name: str = "leaky"

CELLS = {LeakyConfig: Cell}
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a distribution where Python finds installed ones: metadata with entry points, and modules."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    plugins._all.cache_clear()

    def install(name: str, group: str, value: str, code: str = CODE, version: str = "1.2") -> None:
        info = tmp_path / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[seq2seq_lightning.{group}]\nmine = {value}\n")
        (tmp_path / f"{name}.py").write_text(dedent(code))
        plugins._all.cache_clear()

    yield install  # type: ignore[misc]
    plugins._all.cache_clear()


def cells() -> Table:
    """A table as `models/cells` has it, that has not been looked into."""
    return Table("cells", CellConfig, {GRUConfig: GRU})


def test_a_table_without_plugins_is_what_it_was_made_of() -> None:
    assert dict(cells()) == {GRUConfig: GRU}
    assert len(cells()) == 1 and GRUConfig in cells() and int not in cells()
    with pytest.raises(KeyError):
        cells()[int]
    assert cells().providers == {GRUConfig: OURS}


def test_what_an_installed_distribution_offers_is_in_the_table(install: Install) -> None:
    install("extra_cells", "cells", "extra_cells:CELLS")
    table = cells()
    assert "extra_cells" not in sys.modules  # not before anybody looks
    assert [config().name for config in table] == ["gru", "leaky"]
    leaky = list(table)[1]
    assert (leaky.__module__, table[leaky].__name__) == ("extra_cells", "Cell")
    assert table.providers[leaky] == Plugin("extra_cells", "1.2")


def test_metrics_are_offered_by_name(install: Install) -> None:
    code = """
    from seq2seq_lightning.metrics.score import Score
    from seq2seq_lightning.metrics.scores import Metric
    METRICS = {"half": Metric(lambda texts, references, _: Score(50.0, "half", len(texts)), True)}
    """
    install("extra_metrics", "metrics", "extra_metrics:METRICS", code)
    assert Table("metrics", Metric, dict(METRICS.own))["half"].score(["a"], [("a",)], MetricsConfig()).value == 50.0


REFUSALS = {
    "import": ("cells", "broken:CELLS", "import nowhere", ["cannot be imported: ModuleNotFoundError", "'nowhere'"]),
    "syntax": ("cells", "broken:CELLS", "def", ["cannot be imported: SyntaxError"]),
    "attribute": ("cells", "broken:CELLS", "", ["cannot be imported: AttributeError", "'CELLS'"]),
    "exit": ("cells", "broken:CELLS", "1 / 0", ["ZeroDivisionError: division by zero"]),
    "a class": ("cells", "broken:CELLS", "class CELLS: ...", ["names broken.CELLS, where a table {config class: comp"]),
    "foreign": ("cells", "broken:CELLS", "CELLS = {int: str}", ["maps builtins.int to builtins.str", "CellConfig"]),
    "by name": ("cells", "broken:CELLS", "CELLS = {'a': 1}", ["maps 'a' to 1; cells takes subclasses of CellConfig"]),
    "ours": ("cells", "broken:CELLS", CODE.replace('"leaky"', '"gru"'), ["offers 'gru'", "seq2seq-lightning itself"]),
    "nameless": ("cells", "broken:CELLS", CODE.replace('"leaky"', '""'), ["dataclasses with a name of their own"]),
    "group": ("cell", "broken:CELLS", CODE, ["is in a group that nobody reads. Did you mean 'cells'?"]),
    "greedy": (
        "cells",
        "broken:CELLS",
        "from seq2seq_lightning.plugins import Table\nfrom tests.test_plugins import PEEKED\nlen(PEEKED[0])",
        ["ConfigurationError: it looks into the table of cells while it is imported"],
    ),
}
PEEKED: list[Table] = []


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_broken_plugin_is_an_error_that_names_it(kind: str, install: Install) -> None:
    group, value, code, words = REFUSALS[kind]
    install("broken", group, value, code)
    table = cells()
    sys.modules["tests.test_plugins"] = sys.modules[__name__]
    PEEKED[:] = [table]
    with pytest.raises(ConfigurationError) as caught:
        list(table)
    message = str(caught.value)
    assert message.startswith(
        f"The plug-in broken 1.2 cannot be used: its entry point `mine = '{value}'` of seq2seq_li"
    )
    assert message.endswith("Mend it, or remove it: pip uninstall broken.")
    for word in words:
        assert word in message


def test_two_plugins_cannot_offer_one_name(install: Install) -> None:
    install("one", "cells", "one:CELLS")
    install("two", "cells", "two:CELLS", version="3")
    with pytest.raises(ConfigurationError, match=r"plug-in two 3 .* offers 'leaky', which one 1.2 offers too; choose"):
        list(cells())


# -- options -----------------------------------------------------------------------------------------------------------


def with_options(folder: Path, *options: str) -> None:
    for option in options:
        path = folder / "options" / f"{option}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x: 1\n")


def test_options_of_a_plugin_are_found(install: Install, tmp_path: Path) -> None:
    with_options(tmp_path, "model/cell/leaky")
    install("extra", "conf", "options")
    assert conf_folders() == [(Plugin("extra", "1.2"), tmp_path / "options")]
    check_options(tmp_path / "ours")


@pytest.mark.parametrize("option", ["model/cell/gru", "train"])
def test_an_option_that_would_hide_is_refused(option: str, install: Install, tmp_path: Path) -> None:
    with_options(tmp_path, option)
    install("extra", "conf", "options")
    (tmp_path / "options").rename(tmp_path / "ours")
    with_options(tmp_path, option)
    with pytest.raises(ConfigurationError, match=f"extra 1.2 brings the option {option}, which seq2seq-lightning itse"):
        check_options(tmp_path / "ours")


def test_a_package_without_options_is_refused(install: Install) -> None:
    install("extra", "conf", "extra")
    with pytest.raises(ConfigurationError, match=r"plug-in extra 1.2 .* names no package with YAML files in it"):
        conf_folders()


def test_every_group_of_entry_points_has_its_table() -> None:
    tables = [table for table in (*FAMILIES.values(), METRICS) if isinstance(table, Table)]
    assert sorted(table.group for table in tables) == sorted(plugins.TABLES)
    assert all(table.own for table in tables)
    with pytest.raises(AssertionError):
        Table("nothing", CellConfig, {})
    assert installed("cells") == [] or all(point.group == "seq2seq_lightning.cells" for point in installed("cells"))


# -- what is remembered ------------------------------------------------------------------------------------------------


def test_used_plugins_are_named_and_decide(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("extra_cells", "cells", "extra_cells:CELLS")
    table = cells()
    for name in ("_entries", "providers"):
        monkeypatch.setitem(CELLS.__dict__, name, getattr(table, name))
    leaky = replace(Config(), model=ModelConfig(cell=list(table)[1]()))
    assert plugins_used(Config()) == {}
    assert plugins_used(leaky) == {"extra_cells": "1.2"}
    before = fingerprint(leaky)
    monkeypatch.setitem(CELLS.providers, list(table)[1], Plugin("extra_cells", "1.3"))
    assert fingerprint(leaky) != before


def test_a_configuration_that_lacks_a_plugin_says_so() -> None:
    with (
        pytest.raises(
            CheckpointError, match=r"x.ckpt needs a plug-in that is not installed: pip install not-here==2\."
        ),
        needing({"not-here": "2.0", "torch": "2"}, "x.ckpt"),
    ):
        raise ConfigurationError("model.cell.name is 'leaky'.")
    with pytest.raises(ConfigurationError, match="its own fault"), needing({"torch": "2"}, "x.ckpt"):
        raise ConfigurationError("its own fault")


@pytest.mark.slow
@pytest.mark.parametrize(("group", "line"), [("conf", "train --help"), ("cells", "train -m seed=1,2")])
def test_a_broken_plugin_stops_a_command_with_one_message(
    group: str, line: str, install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("broken", group, "nowhere:THERE")
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    name, *arguments = line.split(" ")
    ended = seq2seq(name, *arguments, folder=tmp_path / "work", status=2)
    assert ended.out == ""
    assert ended.err.startswith("error: The plug-in broken 1.2 cannot be used: its entry point `mine = 'nowhere:THERE'")
    assert ended.err.count("\n") == 1


@pytest.mark.slow
def test_no_table_is_looked_into_while_the_package_is_imported() -> None:
    """Otherwise a plug-in could not import the modules that hold tables: they would be asking for it."""
    code = """
from seq2seq_lightning import config_store, run
from seq2seq_lightning.config import TABLES
from seq2seq_lightning.plugins import Table
print([table.group for table in TABLES if isinstance(table, Table) and "_entries" in vars(table)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
