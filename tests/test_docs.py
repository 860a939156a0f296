"""What README and docs name exists: paths, links, commands, make targets, options, keys, and blocks that are copied."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig

import seq2seq_lightning
from seq2seq_lightning.command_config import (
    AblateConfig,
    BenchmarkConfig,
    DescribeConfig,
    EvaluateConfig,
    TranslateConfig,
)
from seq2seq_lightning.commands.application import plain
from seq2seq_lightning.commands.composition import SweepLoader
from seq2seq_lightning.config import FAMILIES, Config
from seq2seq_lightning.config_store import conf_dir, register_schemas
from seq2seq_lightning.experiments.ablation import expand
from seq2seq_lightning.job import Job
from seq2seq_lightning.structure import from_plain

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
TOP = ("benchmarks", "conf", "docs", "examples", "hydra_plugins", "results", "scripts", "seq2seq_lightning", "tests")
ELSEWHERE = {"docs/source/tutorial.rst", "scripts/generate_reverse_task.py"}  # in Joey NMT's repository
SETTINGS = {"evaluate": EvaluateConfig, "translate": TranslateConfig}
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def spans(page: Path) -> list[str]:
    """What stands between single backticks outside of fenced blocks."""
    prose = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose)]


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every command in the shell blocks, up to a redirection."""
    for block in blocks(page, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            for part in re.split(r"\s\|\s|&&", line):
                words = shlex.split(part, comments=True)
                ends = [place for place, word in enumerate(words) if word in ("<", ">")]
                if words:
                    yield words[: ends[0]] if ends else words


OURS = sorted({tuple(words) for page in PAGES for words in commands(page) if words[0].startswith("seq2seq-")})


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    register_schemas()
    with initialize_config_dir(conf_dir(), version_base="1.3"):
        yield


# -- what is named exists ----------------------------------------------------------------------------------------------


@each_page
def test_every_path_exists(page: Path) -> None:
    words = [word for span in spans(page) for word in span.split()]
    paths = [word for word in words if word.startswith(tuple(f"{top}/" for top in TOP)) and word not in ELSEWHERE]
    existing = [path for path in paths if not re.search(r"[<…*{]", path)]
    places = [re.sub(r"NAME\.\w+$", "", path) for path in existing]
    assert [path for path in places if not (ROOT / path).exists()] == []


@each_page
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
        if target.startswith("http"):
            continue
        name, _, anchor = target.partition("#")
        file = page.parent / name if name else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in headings(file), f"{page.name}: {target}"


def headings(page: Path) -> set[str]:
    """The anchors of a page as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@each_page
def test_every_make_target_exists(page: Path) -> None:
    named = set(re.findall(r"\bmake ([a-z][a-z-]*)`", page.read_text("utf-8")))
    named |= {words[1] for words in commands(page) if words[0] == "make"}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert named <= targets


@each_page
def test_every_command_is_installed(page: Path) -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert set(re.findall(r"\bseq2seq-(?!lightning)[a-z]+(?:-[a-z]+)*", page.read_text("utf-8"))) <= set(scripts)


def test_every_table_stands_in_the_file_named_beside_it() -> None:
    named = re.findall(r"`([A-Z_]{4,})` in `([\w/]+\.py)`", (ROOT / "docs/extending.md").read_text("utf-8"))
    assert len(named) > 6
    for table, file in named:
        assert re.search(rf"^{table}\b", (ROOT / file).read_text("utf-8"), re.MULTILINE), f"{table} in {file}"


# -- options and keys --------------------------------------------------------------------------------------------------


def keys(cls: type, path: str = "", within: tuple[type, ...] = ()) -> Iterator[str]:
    """Every dotted key of a configuration, whatever options are chosen; a search within a search is entered once."""
    if within.count(cls) > 1:
        return
    for member in FAMILIES.get(cls, [cls]):
        hints = get_type_hints(member)
        for field in dataclasses.fields(member):
            yield f"{path}{field.name}"
            hint = hints[field.name]
            for kind in () if get_origin(hint) in (list, dict) else (hint, *get_args(hint)):
                if dataclasses.is_dataclass(kind):
                    yield from keys(kind, f"{path}{field.name}.", (*within, cls))  # type: ignore[arg-type]


KEYS = {key for cls in (Config, AblateConfig, EvaluateConfig, TranslateConfig) for key in keys(cls)}
SECTIONS = {key for key in KEYS if any(other.startswith(f"{key}.") for other in KEYS) and "." not in key}


@each_page
def test_every_key_in_the_text_exists(page: Path) -> None:
    named = [span.partition("=")[0] for span in spans(page) if re.fullmatch(r"[a-z_]+(\.[a-z_]+)+(=\S+)?", span)]
    ours = [key for key in named if key.split(".")[0] in SECTIONS]
    assert [key for key in ours if key not in KEYS] == []


@each_page
def test_every_option_in_the_text_exists(page: Path) -> None:
    for span in spans(page):
        for group, options in re.findall(r"^([a-z_/]+)(?:@[\w.]+)?=([\w|,]+)$", span):
            if (Path(conf_dir()) / group).is_dir():
                for option in [] if options.isupper() else re.split(r"[|,]", options):
                    assert (Path(conf_dir()) / group / f"{option}.yaml").exists(), f"{page.name}: {span}"


# -- blocks that readers copy ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", OURS, ids=" ".join)
def test_every_command_line_composes(words: tuple[str, ...]) -> None:
    command, overrides = words[0].removeprefix("seq2seq-"), overrides_of(list(words[1:]))
    if command == "runs":
        assert words[1] in ("list", "show", "prune")
    elif command not in ("report", "rerun", "wandb-report") and "--help" not in words:
        for job in jobs(overrides):
            checked(command, job)


def overrides_of(words: list[str]) -> list[str]:
    """The overrides of a command line; a folder of further options becomes one of them."""
    found = []
    arguments = iter(words)
    for word in arguments:
        if word == "--config-dir":
            found.append(f"hydra.searchpath=[file://{ROOT / next(arguments)}]")
        elif word in ("--cfg", "--package"):
            next(arguments)
        elif not word.startswith("-"):
            found.append(word)
    return found


def jobs(overrides: list[str]) -> list[list[str]]:
    """As few jobs of a sweep as hold every value of every axis."""
    batches = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(overrides), None)
    axes = [list(dict.fromkeys(words)) for words in zip(*(job for batch in batches for job in batch), strict=True)]
    return [[axis[number % len(axis)] for axis in axes] for number in range(max(map(len, axes), default=1))]


def composed(name: str, overrides: list[str]) -> dict[str, Any]:
    """As sweeps compose, which is sooner; test_composition.py holds that against Hydra itself."""
    if any(override.startswith("hydra.") for override in overrides):
        return plain(compose(name, overrides))
    return loader().values(master(name), overrides)


@cache
def loader() -> SweepLoader:
    return SweepLoader(GlobalHydra.instance().config_loader().get_search_path())


@cache
def master(name: str) -> DictConfig:
    return GlobalHydra.instance().config_loader().load_configuration(name, [], RunMode.MULTIRUN)


def checked(command: str, overrides: list[str]) -> Any:
    """Compose and convert, as the command does; of a user's own ablation a trial of each row too."""
    values = composed("describe" if command == "data" else command, overrides)
    if command == "ablate":
        config = from_plain(AblateConfig, values, FAMILIES)
        searched = [each for each in overrides if each.startswith("hydra.searchpath")]
        for trial in {trial.row_label: trial for trial in expand(config.ablation)}.values() if searched else ():
            Config.from_plain(plain(compose("train", [*trial.overrides, *config.overrides, *searched])))
        return config
    if command == "benchmark":
        return BenchmarkConfig.from_plain(values)
    if command == "data":
        return DescribeConfig.from_plain(values)
    return from_plain(SETTINGS[command], values, FAMILIES) if command in SETTINGS else Config.from_plain(values)


@pytest.mark.parametrize("number", range(2), ids=["experiment", "ablation"])
def test_the_files_shown_in_the_docs_compose(number: int, tmp_path: Path) -> None:
    group = ["experiment", "ablation"][number]
    (tmp_path / group).mkdir()
    (tmp_path / group / "shown.yaml").write_text(blocks(ROOT / "docs/configuration.md", "yaml")[number], "utf-8")
    command = "ablate" if group == "ablation" else "train"
    assert checked(command, [f"{group}=shown", f"hydra.searchpath=[file://{tmp_path}]"])


@each_page
def test_python_blocks_parse_and_import_what_there_is(page: Path) -> None:
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module == "seq2seq_lightning":
                assert all(hasattr(seq2seq_lightning, alias.name) for alias in node.names)


def test_the_readme_shows_the_run_that_its_command_makes() -> None:
    """If this fails, what a training computes has another name now: run the command again and show what it prints."""
    readme = (ROOT / "README.md").read_text("utf-8")
    words = next(words for words in commands(ROOT / "README.md") if "name=first" in words)
    job = Job.of(checked("train", list(words[1:])), [])
    assert set(re.findall(r"runs/first/(\w+)", readme)) == {job.fingerprint}


def test_the_readme_has_its_place_for_results() -> None:
    assert "<!-- results:scan_primitives -->" in (ROOT / "README.md").read_text("utf-8")


# -- examples ----------------------------------------------------------------------------------------------------------

SCRIPT = ROOT / "examples/train_and_translate.py"


def test_the_settings_of_the_example_are_valid() -> None:
    spec = importlib.util.spec_from_file_location("train_and_translate", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert Config.from_plain(module.SETTINGS).name == "python_example"


@pytest.mark.slow
def test_the_example_trains_and_translates(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["3 1 4 1 5 -> 5 1 4 1 3", "2 7 1 8 -> 8 1 7 2"]
