"""The rules that span groups, told all at once, and the fingerprint: what changes the name of a training."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest

from seq2seq_lightning import config as config_module
from seq2seq_lightning.command_config import TranslateConfig, runs_named
from seq2seq_lightning.config import FAMILIES, GROUPS, Config, fingerprint
from seq2seq_lightning.decoding.ensemble import Average
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.structure import from_plain


def changed(plain: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A copy with other values, by dotted keys written with `__`."""
    plain = copy.deepcopy(plain)
    for key, value in changes.items():
        *path, last = key.split("__")
        node = plain
        for part in path:
            node = node[part]
        node[last] = value
    return plain


def make(**changes: Any) -> Config:
    return Config.from_plain(changed(Config().to_plain(), **changes))


def problems(**changes: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        make(**changes)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("run", "average", "words"),
    [
        ("", Average.log_probs, "run is ''. Give the directory of a run, or run=[a,b,…] for an ensemble."),
        ([], Average.log_probs, "run is []. Give the directory of a run"),
        ([1], Average.log_probs, "run is [1]. Give the directory of a run"),
        (["a", "b", "a"], Average.log_probs, "run=['a', 'b', 'a'] names a run twice, which changes nothing."),
        ("a", Average.probabilities, "average=probabilities changes nothing for one run. Name several: run=[a,b]."),
    ],
)
def test_what_names_no_run_is_refused(run: object, average: Average, words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        runs_named(run, average)


def test_one_run_or_several_are_named() -> None:
    assert runs_named("a", Average.log_probs) == [Path("a")]
    assert runs_named(["a", "b"], Average.probabilities) == [Path("a"), Path("b")]


def test_decodings_are_checked_wherever_they_stand() -> None:
    blind = {"model__decoder__context": "initial", "model__decoder__query": None}
    covering = {"name": "beam", "beta": 0.1}
    assert problems(decoding=covering, **blind) == [
        "decoding.beta needs attention weights: set model.decoder.context=attention, or decoding.beta=0."
    ]
    assert problems(validation__decoding=covering, **blind)[0].startswith("validation.decoding.beta needs attention")


# -- rules -------------------------------------------------------------------------------------------------------------


def test_the_defaults_break_no_rule_and_survive_plain_values() -> None:
    config = Config.from_plain({})
    assert config == Config()
    assert Config.from_plain(json.loads(json.dumps(config.to_plain()))) == config


def test_every_family_has_a_group() -> None:
    assert set(GROUPS.values()) == set(FAMILIES)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "a/b"}, ["name is 'a/b'", "folder"]),
        ({"name": ""}, ["name is ''", "folder"]),
        ({"name": ".hidden"}, ["name is '.hidden'", "folder"]),
        ({"metrics__report": ["blue"]}, ["metrics.report names 'blue'", "Did you mean 'bleu'"]),
        ({"validation__metrics": ["blue"]}, ["validation.metrics names 'blue'", "Did you mean 'bleu'"]),
        ({"validation__monitor": "val/bleu"}, ["validation.monitor is 'val/bleu'", "val/loss", "val/exact_match"]),
        ({"validation__monitor": "val/token_accuracy"}, ["'val/token_accuracy'", "val/teacher_forced_accuracy"]),
        ({"validation__monitor": "loss"}, ["validation.monitor is 'loss'", "'val/loss'"]),
        (
            {"validation__monitor": "val/free_running_loss", "validation__free_running_loss": False},
            ["'val/free_running_loss'", "validation.free_running_loss=true"],
        ),
        (
            {"data__batching__size": 3, "trainer__devices": 2, "trainer__accumulate": 2},
            ["data.batching.size is 3", "trainer.devices × trainer.accumulate = 4"],
        ),
        ({"learning_rate": {"name": "plateau"}, "data__val_size": 0}, ["learning_rate=plateau", "no validation split"]),
        (
            {"decoding": {"name": "beam", "beta": 0.2}, "model__decoder__context": "initial"},
            ["decoding.beta", "model.decoder.context=attention"],
        ),
        (
            {
                "model__bridge": {"name": "copy"},
                "model__encoder__hidden_size": 33,
                "model__decoder__hidden_size": 64,
            },
            ["`model/bridge=copy` needs equal sizes", "33", "64", "model/bridge=dense"],
        ),
        (
            {"model__decoder__copy": "pointer_generator", "objective__label_smoothing": 0.1},
            [
                "objective.label_smoothing=0.1",
                "model.decoder.copy=pointer_generator",
                "Set objective.label_smoothing=0",
            ],
        ),
        ({"trainer__max_steps": None}, ["trainer.max_steps and trainer.max_epochs are both null"]),
        ({"trainer__precision": "32"}, ["trainer.precision is '32'", "32-true"]),
        ({"trainer__extra": {"devices": 2}}, ["trainer.extra.devices", "own option"]),
        ({"trainer__extra": {"profiler": ["x"]}}, ["trainer.extra.profiler", "plain values"]),
        (
            {"paths__cache": "/elsewhere", "data__cache": "never"},
            ["paths.cache=/elsewhere changes nothing with data.cache=never", "data.cache=auto"],
        ),
        ({"checkpoint__keep": 0}, ["checkpoint.keep is 0", "above 0"]),
        ({"validation__patience": 0}, ["validation.patience is 0", "at least 1"]),
        (
            {"validation__patience": 3, "data__val_size": 0},
            ["validation.patience=3", "no validation split", "set validation.patience=null"],
        ),
        ({"seed": "1"}, ["seed is '1'", "int"]),
    ],
)
def test_each_rule_says_what_is_wrong_and_what_to_do(changes: dict[str, Any], words: list[str]) -> None:
    (problem,) = problems(**changes)
    for word in words:
        assert word in problem


def test_what_is_measured_can_be_monitored() -> None:
    for name in ("loss", "perplexity", "teacher_forced_accuracy", "free_running_loss", "exact_match"):
        assert make(validation__monitor=f"val/{name}").monitored == name
    assert make(validation__monitor="val/chrf", validation__metrics=["chrf"]).monitored == "chrf"


def test_as_many_rows_as_slots_are_enough() -> None:
    assert make(data__batching__size=4, trainer__devices=2, trainer__accumulate=2)


def test_all_problems_are_told_at_once() -> None:
    found = problems(name="a/b", validation__monitor="val/nothing", data__batching__size=1, trainer__devices=2)
    assert [line.split(" ")[0] for line in found] == ["name", "validation.monitor", "data.batching.size"]
    found = problems(trainer__max_steps=0, checkpoint__keep=0, model__encoder__layers="zero", seed=None)
    assert len(found) == 4


def test_translate_refuses_what_it_would_not_write() -> None:
    with pytest.raises(ConfigurationError, match="format=jsonl"):
        from_plain(TranslateConfig, {"run": "x", "attention": True}, FAMILIES)
    with pytest.raises(ConfigurationError, match="chunk is 0"):
        from_plain(TranslateConfig, {"run": "x", "chunk": 0}, FAMILIES)


# -- fingerprint -------------------------------------------------------------------------------------------------------


SAME = {
    "decoding": {"name": "beam", "beam_width": 7},
    "metrics__report": ["bleu"],
    "metrics__bleu__tokenize": "none",
    "logger": {"name": "wandb", "project": "elsewhere"},
    "paths__runs": "/elsewhere",
    "paths__cache": "/elsewhere",
    "data__cache": "always",
    "name": "other",
    "group": "other",
    "fresh": True,
    "trainer__devices": 2,
    "trainer__accumulate": 4,
    "trainer__threads": 1,
    "trainer__accelerator": "cpu",
    "trainer__log_every": 1,
    "trainer__progress": False,
    "trainer__timeout_minutes": 1,
    "checkpoint__every": 7,
    "checkpoint__after_scoring": "keep_all",
    "data__train_sample": 5,
    "data__batching__workers": 2,
}
OTHER = {
    "seed": 2,
    "data__task_seed": 2,
    "data__train_size": 49_999,
    "data__batching__size": 63,
    "data__batching__sampling": "replacement",
    "data": {"name": "copy"},
    "text__source__reverse": True,
    "text__target__eos": False,
    "model__encoder__hidden_size": 255,
    "model__cell": {"name": "lstm"},
    "model__encoder__dropout__embedding": 0.1,
    "model__initialisation__preset": "standard",
    "teacher_forcing__ratio": 0.5,
    "teacher_forcing": {"name": "linear"},
    "objective__label_smoothing": 0.1,
    "optimizer__learning_rate": 0.002,
    "optimizer__clip_norm": None,
    "optimizer": {"name": "sgd"},
    "learning_rate": {"name": "linear"},
    "learning_rate__warmup": 10,
    "validation__every": 7,
    "validation__patience": 3,
    "validation__decoding": {"name": "beam"},
    "trainer__max_steps": 1999,
    "trainer__max_epochs": 1,
    "trainer__precision": "64-true",
    "trainer__matmul_precision": "high",
    "trainer__extra": {"overfit_batches": 1},
}


@pytest.mark.parametrize("key", SAME)
def test_what_does_not_decide_the_training_does_not_name_it(key: str) -> None:
    assert make(**{key: SAME[key]}) != Config()
    assert fingerprint(make(**{key: SAME[key]})) == fingerprint(Config())


@pytest.mark.parametrize("key", OTHER)
def test_what_decides_the_training_names_it(key: str) -> None:
    assert fingerprint(make(**{key: OTHER[key]})) != fingerprint(Config())


def test_every_setting_is_on_one_side_or_the_other() -> None:
    """A new section must be thought about: does it decide the numbers?"""
    sections = {key.split("__")[0] for key in [*SAME, *OTHER]}
    elsewhere = {
        "init_from",  # decides, by a file: tests/training/test_initial_weights.py
        "extend",  # decides, by a run: tests/training/test_extending.py
        "debug",  # is never a run: tests/test_debugging.py
    }
    assert sections | elsewhere == set(Config().to_plain())


def test_all_that_decides_gives_names_of_its_own() -> None:
    names = [fingerprint(make(**{key: value})) for key, value in OTHER.items()]
    assert len(set(names)) == len(names)


def test_a_metric_that_chooses_the_best_checkpoint_names_the_training() -> None:
    chosen = {"validation__monitor": "val/bleu", "validation__metrics": ["bleu"]}
    one, other = make(**chosen), make(**chosen, metrics__bleu__tokenize="none")
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) == fingerprint(make(**chosen, metrics__chrf__beta=1))


def test_the_version_of_training_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint(Config())
    monkeypatch.setattr(config_module, "TRAINING_VERSION", config_module.TRAINING_VERSION + 1)
    assert fingerprint(Config()) != before


def _from_files(folder: Path, source: str = "a b\n", target: str = "b a\n") -> Config:
    folder.mkdir()
    (folder / "x.src").write_text(source)
    (folder / "x.tgt").write_text(target)
    files = {"source": str(folder / "x.src"), "target": str(folder / "x.tgt")}
    return make(data={"name": "parallel", "train": files, "test": {"here": files}})


def test_files_name_a_training_by_their_content_not_by_their_place(tmp_path: Path) -> None:
    first = fingerprint(_from_files(tmp_path / "one"))
    assert fingerprint(_from_files(tmp_path / "two")) == first
    assert fingerprint(_from_files(tmp_path / "three", target="b b\n")) != first


def test_a_fingerprint_is_twelve_hex_digits() -> None:
    assert len(fingerprint(Config())) == 12
    int(fingerprint(Config()), 16)
