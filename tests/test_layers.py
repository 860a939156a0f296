"""The imports of the package, compared with a map: what stands higher may use what stands lower, never the reverse.

`config` stands above `training` because the root Config is composed of the dataclasses that live beside the
components, and those of training (settings, optimisers, learning rates, objectives) are among them.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "seq2seq_lightning"
SOURCES = (PACKAGE, "hydra_plugins", "scripts")

# top to bottom; units of one line never import each other
LINES = [
    "scripts hydra_plugins",
    "commands",
    "worker",
    "replicas",
    "run",
    "scoring recording throughput debugging",
    "trained job config_store",
    "command_config replica_rules",
    "config",
    "training reports",
    "data models losses teacher_forcing decoding metrics",
    "text randomness experiments structure aligned",
    "plugins",
    "errors crash_points",
]

# third-party package → the units (or single modules of them) that may import it; nobody else does
THIRD_PARTY = {
    "hydra": "hydra_plugins commands config_store",
    "omegaconf": "hydra_plugins commands config_store command_config",
    "lightning": "training",
    "wandb": "training",
    "pandas": "reports",
    "matplotlib": "reports",
    "jinja2": "reports",
    "markupsafe": "reports",
    "wandb_workspaces": "reports",
    "rich": "reports commands",
    "scipy": "reports",
    "sacrebleu": "metrics.corpus metrics.counts metrics.significance",
    "torchmetrics": "metrics",
    "rapidfuzz": "metrics.sequence metrics.sentence metrics.pairwise",
    "regex": "text",
    "datasets": "data.tasks.hub",
    "optuna": "hydra_plugins",
    "sentencepiece": "text",
    "tqdm": "commands scoring text",
    "numpy": "commands data decoding metrics.counts metrics.pairwise metrics.significance reports training",
    "torch": "commands recording throughput trained training "
    "data models losses teacher_forcing decoding randomness aligned",
}
# extras that take seconds to import: where they are asked for, by import_module, and not before
WHEN_NEEDED = ("datasets", "optuna", "hydra_plugins.hydra_optuna_sweeper._impl")
# where the name to install is not the name to import
DISTRIBUTIONS = {"hydra": "hydra-core", "markupsafe": "jinja2", "wandb_workspaces": "wandb-workspaces"}


@dataclass(frozen=True)
class Import:
    """One imported name and where it stands."""

    module: str  # the importing one, dotted
    name: str  # the imported one, dotted
    line: int
    nested: bool  # inside a function or class

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.name}"


def imports_of(source: str, module: str) -> Iterator[Import]:
    """Every import of a module: at the top, nested, under TYPE_CHECKING, relative, by import_module."""
    tree = ast.parse(source)
    nested = {
        id(node)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef)
        for node in ast.walk(outer)
    }
    for node in ast.walk(tree):
        for name in _names(node, module):
            yield Import(module, name, node.lineno, id(node) in nested)  # type: ignore[attr-defined]


def _names(node: ast.AST, module: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        above = module.split(".")[: -node.level] if node.level else []
        return [".".join([*above, *filter(None, [node.module]), alias.name]) for alias in node.names]
    if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
        argument = ast.unparse(node.args[0])
        named_here = re.fullmatch(r"f'\{__name__\}\.(.*)'", argument)
        return [f"{module}.{named_here[1]}" if named_here else argument.strip("'")]
    return []


def unit_of(name: str) -> str | None:
    """The unit a dotted name of ours belongs to: `commands`, `run`, `hydra_plugins`; None for other packages."""
    first, *rest = name.split(".")
    if first == PACKAGE:
        return rest[0] if rest else PACKAGE
    return first if first in SOURCES else None


def violations(found: Iterator[Import] | list[Import]) -> list[str]:
    """What the map does not allow, one sentence each."""
    heights = {unit: height for height, line in enumerate(reversed(LINES)) for unit in line.split()}
    problems = []
    for each in found:
        own, other = unit_of(each.module), unit_of(each.name)
        top = each.name.split(".")[0]
        if own == PACKAGE:  # every module of ours would pay for what is imported here
            if top not in sys.stdlib_module_names and not each.nested:
                problems.append(f"{each}: the package itself imports nothing until it is asked for it.")
            continue
        if each.nested and not {top, each.name} & set(WHEN_NEEDED):
            problems.append(f"{each} inside a function.")
        if own not in heights:
            problems.append(f"{each}: `{own}` stands nowhere on the map.")
        elif other is not None:
            if other not in heights and other != PACKAGE:
                problems.append(f"{each}: `{other}` stands nowhere on the map.")
            elif other not in (own, PACKAGE) and heights[other] >= heights[own]:
                problems.append(f"{each}: `{other}` does not stand below `{own}`.")
        elif top not in sys.stdlib_module_names:
            allowed = THIRD_PARTY.get(top, "").split()
            if own not in allowed and each.module.removeprefix(f"{PACKAGE}.") not in allowed:
                problems.append(f"{each}: {top} is allowed in {', '.join(allowed) or 'nothing of ours'}.")
    return problems


def modules() -> dict[str, Path]:
    """Every module of the sources by its dotted name."""
    files = [path for source in SOURCES for path in sorted((ROOT / source).rglob("*.py"))]
    return {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def all_imports() -> list[Import]:
    found = []
    for module, path in modules().items():
        # relative names count from the package of the module
        inside = f"{module}.__init__" if path.name == "__init__.py" else module
        found += [
            Import(module, each.name, each.line, each.nested) for each in imports_of(path.read_text("utf-8"), inside)
        ]
    return found


def test_imports_point_down_only() -> None:
    found = all_imports()
    assert len(found) > 500  # the sources were found
    assert violations(found) == []


def test_every_unit_stands_on_the_map_and_the_map_names_no_other() -> None:
    units = {unit_of(module) for module in modules()} - {PACKAGE}
    assert units == {unit for line in LINES for unit in line.split()}


def test_every_third_party_package_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [each for group, names in project["optional-dependencies"].items() if group != "dev" for each in names]
    declared = {re.match(r"[\w.-]+", each)[0] for each in [*project["dependencies"], *extras]}  # type: ignore[index]
    tops = {each.name.split(".")[0] for each in all_imports()} - set(SOURCES)
    imported = {DISTRIBUTIONS.get(top, top) for top in tops - sys.stdlib_module_names}
    assert imported - declared == set()


@pytest.mark.parametrize(
    ("module", "source", "words"),
    [
        ("seq2seq_lightning.models.cell", "from seq2seq_lightning.data.batch import Batch", "`data` does not stand"),
        ("seq2seq_lightning.errors", "from seq2seq_lightning import text", "`text` does not stand below `errors`"),
        ("seq2seq_lightning.training.module", "import seq2seq_lightning.config", "`config` does not stand below"),
        ("seq2seq_lightning.reports.html", "from seq2seq_lightning.training import loggers", "`training` does not"),
        ("seq2seq_lightning.run", "from hydra.utils import instantiate", "hydra is allowed in hydra_plugins"),
        ("seq2seq_lightning.metrics.sequence", "import sacrebleu", "sacrebleu is allowed in metrics.corpus"),
        ("seq2seq_lightning.models.cell", "import sklearn.svm", "sklearn is allowed in nothing of ours"),
        ("seq2seq_lightning.experiments.record", "import torch", "torch is allowed in commands"),
        ("seq2seq_lightning.models.cell", "def f():\n    import math", ":2 imports math inside a function"),
        ("seq2seq_lightning.text.a", "if TYPE_CHECKING:\n    from torch import Tensor", "torch is allowed in"),
        ("seq2seq_lightning.models.cells.a", "from ...data import batch", "`data` does not stand below `models`"),
        ("seq2seq_lightning.text.a", "importlib.import_module('torch')", "torch is allowed in"),
        ("seq2seq_lightning.text.a", "import_module(name)", "imports name: name is allowed in nothing of ours"),
        ("seq2seq_lightning.utils", "import math", "`utils` stands nowhere on the map"),
        ("seq2seq_lightning.text.a", "import seq2seq_lightning.utils", "`utils` stands nowhere on the map"),
        ("seq2seq_lightning", "from seq2seq_lightning.trained import load", "the package itself imports nothing"),
    ],
)
def test_the_checker_finds(module: str, source: str, words: str) -> None:
    found = violations(imports_of(source, module))
    assert len(found) == 1
    assert words in found[0]


def test_the_checker_lets_pass_what_the_map_allows() -> None:
    lazy = "def __getattr__(name):\n    return importlib.import_module(f'{__name__}.{HOMES[name]}')"
    assert violations(imports_of(lazy, "seq2seq_lightning")) == []
    source = "import math\nimport torch\nfrom seq2seq_lightning.errors import nearest\nfrom . import state"
    assert violations(imports_of(source, "seq2seq_lightning.models.cell")) == []
