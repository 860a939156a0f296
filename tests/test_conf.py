"""Every option of every configuration group composes, converts, builds and takes one step.

A new file is tested at once: the folder `conf/` is walked on disk. Options and tables must agree: each YAML file names
a schema, each schema has a YAML file.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import MissingConfigException
from hydra.types import RunMode
from omegaconf import OmegaConf

from seq2seq_lightning.command_config import AblateConfig, EvaluateConfig, TranslateConfig
from seq2seq_lightning.commands.application import plain
from seq2seq_lightning.commands.composition import SweepLoader
from seq2seq_lightning.config import FAMILIES, GROUPS, Config
from seq2seq_lightning.config_store import COMMANDS, SECTIONS, conf_dir, register_schemas
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.experiments.ablation import expand
from seq2seq_lightning.experiments.files import read_jsonl
from seq2seq_lightning.job import Job
from seq2seq_lightning.recording import finish_tracking
from seq2seq_lightning.run import train_model
from seq2seq_lightning.structure import from_plain, member_name
from seq2seq_lightning.trained import load
from seq2seq_lightning.training.checkpoint_index import last_checkpoint
from tests.data.tasks.published import write_g2p, write_multi30k

CONF = Path(conf_dir())
# SPEC's groups; experiments and ablations are settings, not components
TRAINING_GROUPS = {
    "data",
    "text",
    "model",
    "model/cell",
    "model/attention",
    "model/bridge",
    "teacher_forcing",
    "objective",
    "optimizer",
    "learning_rate",
    "validation",
    "decoding",
    "trainer",
    "checkpoint",
    "logger",
    "experiment",
}
SMALL = [
    "trainer.max_steps=1",
    "trainer.log_every=1",
    "trainer.accelerator=cpu",
    "data.batching.size=4",
    "model.encoder.embedding_size=6",
    "model.encoder.hidden_size=6",
    "model.decoder.embedding_size=6",
    "model.decoder.hidden_size=6",
]
COPIED = ["model.decoder.hidden_size=12"]  # two directions of 6, copied by the bridge
LEARNT = {"bpe": 16, "unigram": 16, "joint_bpe": 16, "wordpiece": 30}  # option → its size for digits and a blank
# option → the package that an extra installs for it
EXTRAS = {"wordpiece": "tokenizers", "spacy": "spacy", "hub": "datasets"}
FITTING = {
    "benchmark": COPIED,
    "multi30k": COPIED,
    "multi30k_searches": COPIED,
    "multi30k_lium": [f"text.{side}.tokenizer.vocab_size=40" for side in ("source", "target")],
    "sigmorphon2020_g2p": ["model.decoder.readout.size=6"],  # tied to embeddings of 6
}
SPLITS = ("train", "val", "test.here")
FEW_SYMBOLS = ["data.train_size=8", "data.val_size=4", "data.test_size=2"]
ELSEWHERE = [  # what SPEC §10 promises besides one option per group
    ["model/cell@model.decoder.cell=lstm", "model/bridge=zero"],
    ["model/cell@model.encoder.cell=rnn"],
    ["decoding@validation.decoding=beam"],
    ["schema/text/tokenizer@text.source.tokenizer=characters"],
]

STEPPED: list[Config] = []
Composed = Callable[[list[str]], dict[str, Any]]


def options(conf: Path, group: str) -> list[str]:
    """The YAML files of one group, without their ending."""
    return sorted(path.stem for path in (conf / group).glob("*.yaml"))


def groups(conf: Path) -> set[str]:
    """Every folder that holds options."""
    return {str(path.parent.relative_to(conf)) for path in conf.rglob("*.yaml")} - {"."}


def schemas() -> set[tuple[str, str]]:
    """(group, name) of every schema that the tables offer."""
    families = {(group, member_name(member)) for group, base in GROUPS.items() for member in FAMILIES[base]}
    return families | {(section, section) for section in SECTIONS} | {(".", command) for command in COMMANDS}


def named_schemas(path: Path) -> list[tuple[str, str]]:
    """(group, name) of every schema that the defaults list of a file names, in order."""
    found = re.findall(r"^ +- /schema/?([\w/]*)@[\w.]+: (\w+)$", path.read_text("utf-8"), re.MULTILINE)
    return [(group or ".", name) for group, name in found]


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the tasks that read files need: a few lines on disk."""
    source, target, table = tmp_path / "a.src", tmp_path / "a.tgt", tmp_path / "a.tsv"
    source.write_text("a red house\na blue car\nthe house\na car\n", encoding="utf-8")
    target.write_text("maison rouge une\nvoiture bleue une\nmaison la\nvoiture une\n", encoding="utf-8")
    rows = list(zip(source.read_text("utf-8").splitlines(), target.read_text("utf-8").splitlines(), strict=True))
    table.write_text("".join(f"{a}\t{b}\n" for a, b in rows), encoding="utf-8")
    lines = tmp_path / "a.jsonl"
    lines.write_text("".join(json.dumps({"source": a, "target": b}) + "\n" for a, b in rows), encoding="utf-8")
    (tmp_path / "hub").mkdir()
    (tmp_path / "hub" / "train.jsonl").write_bytes(lines.read_bytes())
    sides = {"source": source, "target": target}
    return {
        "parallel": [f"data.{split}.{side}={path}" for split in SPLITS for side, path in sides.items()],
        "tsv": [f"data.{split}={table}" for split in SPLITS],
        "jsonl": [f"data.{split}={lines}" for split in SPLITS],
        "continuation": [f"data.{split}={source}" for split in SPLITS],
        "hub": [f"data.path={lines.parent / 'hub'}", "data.val=train", "data.test.here=train"],
        "multi30k": [f"data.folder={write_multi30k(tmp_path / 'multi30k', monkeypatch)}"],
        "sigmorphon2020_g2p": [f"data.folder={write_g2p(tmp_path / 'g2p', monkeypatch)}"],
        "scan": [],
    }


def composed(command: str, overrides: list[str]) -> dict[str, Any]:
    return plain(compose(command, overrides))


@pytest.fixture(scope="module")
def as_in_sweeps(hydra: None) -> Composed:
    """Training configurations as sweeps compose them; tests of composition.py hold that against Hydra itself."""
    loader = GlobalHydra.instance().config_loader()
    master = loader.load_configuration("train", [], RunMode.MULTIRUN)
    own = SweepLoader(loader.get_search_path())
    return lambda overrides: own.values(master, overrides)


def takes_a_step(config: Config, folder: Path) -> None:
    """Train one update in this process, validate, reload the checkpoint and decode with it."""
    assert Config.from_plain(config.to_plain()) == config
    if config in STEPPED:  # the default option of one group is that of all others
        return
    STEPPED.append(config)
    corpus = build_task(config.data).read()
    folder.mkdir()
    try:
        train_model(Job(str(folder), "0" * 12, config.to_plain()), config, corpus, {})
    finally:
        finish_tracking(0)
    history = {entry["key"]: entry["value"] for entry in read_jsonl(folder / "history.jsonl")}
    assert math.isfinite(history["train/loss"]) and history["train/loss"] > 0
    assert math.isfinite(history["val/loss"]) if corpus.val else "val/loss" not in history
    assert last_checkpoint(folder / "checkpoints") == folder / "checkpoints" / "step-1.ckpt"
    assert len(load(folder).translate([pair.source for pair in list(corpus.train)[:2]])) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("group", "option"), [(group, option) for group in sorted(TRAINING_GROUPS) for option in options(CONF, group)]
)
def test_every_option_takes_a_step(
    group: str, option: str, files: dict[str, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    if option in EXTRAS:
        pytest.importorskip(EXTRAS[option])
    if option == "hub":
        monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    given = files.get(option, FEW_SYMBOLS) if group == "data" else []
    if group == "experiment":
        text = (CONF / group / f"{option}.yaml").read_text("utf-8")
        task = text.split("override /data: ")[1].split()[0]
        given = (FEW_SYMBOLS if task.startswith("reverse") else files[task]) + FITTING.get(option, [])
    elif group != "data":
        given = FEW_SYMBOLS
        if option in LEARNT:
            given = [*given, *(f"text.{side}.tokenizer.vocab_size={LEARNT[option]}" for side in ("source", "target"))]
    config = Config.from_plain(composed("train", [f"{group}={option}", *SMALL, *given]))
    takes_a_step(config, tmp_path / "run")


def test_sets_of_held_out_lengths_are_given_and_removed_by_name() -> None:
    words = ["data=sort", "data.held_out.far=[50,60]", "~data.held_out.longer"]
    config = Config.from_plain(composed("train", words))
    assert config.data.held_out == {"far": [50, 60]}  # type: ignore[attr-defined]


@pytest.mark.parametrize("overrides", ELSEWHERE, ids=" ".join)
def test_a_component_can_be_put_elsewhere(overrides: list[str], tmp_path: Path) -> None:
    config = Config.from_plain(composed("train", [*overrides, *SMALL, *FEW_SYMBOLS]))
    takes_a_step(config, tmp_path / "run")


@pytest.mark.parametrize("option", options(CONF, "decoding"))
@pytest.mark.parametrize(("command", "cls"), [("evaluate", EvaluateConfig), ("translate", TranslateConfig)])
def test_every_decoding_serves_the_commands_that_decode(option: str, command: str, cls: type) -> None:
    config = from_plain(cls, composed(command, [f"decoding={option}", "run=somewhere"]), FAMILIES)
    (_, schema), *_ = named_schemas(CONF / "decoding" / f"{option}.yaml")
    assert config.decoding.name == schema  # type: ignore[attr-defined]


def _ablation(name: str) -> AblateConfig:
    return from_plain(AblateConfig, composed("ablate", [f"ablation={name}"]), FAMILIES)


@pytest.mark.parametrize("name", options(CONF, "ablation"))
def test_every_ablation_can_be_expanded_and_begun(name: str) -> None:
    ablation = _ablation(name).ablation
    first, *_ = expand(ablation)
    Config.from_plain(composed("train", first.overrides))
    assert ablation.name == name and ablation.criteria and ablation.deviations
    assert ablation.cost or name in ("objectives", "reverse", "scan_primitives")


@pytest.mark.very_slow
@pytest.mark.parametrize("name", options(CONF, "ablation"))
def test_every_row_and_every_value_of_an_ablation_composes(name: str, as_in_sweeps: Composed) -> None:
    seen: set[str] = set()
    for trial in expand(_ablation(name).ablation):
        words = {word for word in trial.overrides if not word.startswith("seed=")}
        if words - seen:
            seen |= words
            Config.from_plain(as_in_sweeps(trial.overrides))


@pytest.mark.very_slow
@pytest.mark.parametrize("name", options(CONF, "ablation"))
def test_every_trial_of_an_ablation_composes_to_a_training_of_its_own(
    name: str, files: dict[str, list[str]], as_in_sweeps: Composed
) -> None:
    ablation = _ablation(name).ablation
    trainings = {tuple(trial.training_overrides) for trial in expand(ablation) if trial.seed == ablation.seeds[0]}
    fingerprints = set()
    for overrides in trainings:
        plain = as_in_sweeps([*overrides])
        given = files.get(plain["data"]["name"], [])
        config = Config.from_plain(as_in_sweeps([*overrides, *given]) if given else plain)
        fingerprints.add(Job.of(config, []).fingerprint)
    assert len(fingerprints) == len(trainings)


def test_the_groups_on_disk_are_those_of_the_tables() -> None:
    on_disk = groups(CONF)
    assert on_disk == TRAINING_GROUPS | {"ablation"}
    assert set(GROUPS) | set(SECTIONS) == (on_disk - {"experiment"}) | {"text/tokenizer"}


def unmatched(conf: Path) -> list[str]:
    """Files that name no schema of their group first, and schemas that no file names."""
    problems, named = [], set()
    for path in sorted(conf.rglob("*.yaml")):
        found = named_schemas(path)
        named |= set(found)
        group = str(path.parent.relative_to(conf))
        if group == "experiment":
            continue
        if not found or found[0] not in schemas() or found[0][0] != group:
            problems.append(f"{path.relative_to(conf)} names no schema of {group} first")
        elif group in GROUPS and (group, path.stem) in schemas() and found[0][1] != path.stem:
            problems.append(f"{path.relative_to(conf)} names another component's schema")
    return problems + [f"schema {group}/{name} has no file" for group, name in sorted(schemas() - named)]


def test_every_schema_has_a_file_and_every_file_a_schema() -> None:
    assert unmatched(CONF) == []


def test_an_option_that_stands_in_no_table_is_found(tmp_path: Path) -> None:
    (tmp_path / "decoding").mkdir()
    stray = tmp_path / "decoding" / "oracle.yaml"
    stray.write_text("defaults:\n  - /schema/decoding@_here_: oracle\n  - _self_\n")
    (tmp_path / "decoding" / "greedy.yaml").write_text("defaults:\n  - /schema/decoding@_here_: beam\n  - _self_\n")
    (tmp_path / "decoding" / "bare.yaml").write_text("beam_width: 3\n")
    problems = unmatched(tmp_path)
    assert "decoding/oracle.yaml names no schema of decoding first" in problems
    assert "decoding/bare.yaml names no schema of decoding first" in problems
    assert "decoding/greedy.yaml names another component's schema" in problems
    assert "schema decoding/greedy has no file" in problems


def test_a_schema_that_does_not_exist_does_not_compose() -> None:
    with pytest.raises(MissingConfigException, match="oracle"):
        compose("train", ["+schema/decoding@decoding=oracle"])


def test_no_option_names_a_class_or_a_place_of_hydra() -> None:
    for path in CONF.rglob("*.yaml"):
        text = path.read_text("utf-8")
        assert "_target_" not in text, path
        assert not re.search(r"\$\{(hydra|now|oc)[:.](?!help)", text), path


def test_schemas_leave_every_choice_to_the_files() -> None:
    """A default component inside a schema could not be replaced by another; the YAML files choose."""
    train = ConfigStore.instance().load("schema/train.yaml").node
    for key in ("data", "teacher_forcing", "objective", "optimizer", "learning_rate", "decoding", "logger"):
        assert OmegaConf.is_missing(train, key)
    assert OmegaConf.is_missing(train.text.source, "tokenizer")
    assert train.model.cell is None and train.model.decoder.cell is None
