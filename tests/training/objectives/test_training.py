"""Every objective in a real training: interrupted, in micro-batches and on two devices it has the numbers of one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq_lightning.config import Config
from seq2seq_lightning.experiments.files import read_jsonl
from seq2seq_lightning.experiments.record import read_record
from seq2seq_lightning.job import Job
from seq2seq_lightning.run import run
from seq2seq_lightning.structure import member_name
from seq2seq_lightning.training.loggers import HistoryLogger
from seq2seq_lightning.training.objectives import OBJECTIVES
from tests.bits import same
from tests.terminal import SMALL, only_run, seq2seq
from tests.training.tiny import Trained, train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SETTINGS: dict[str, dict[str, Any]] = {
    "maximum_likelihood": {},
    "minimum_risk": {"metric": "edit_similarity", "samples": 4, "sharpness": 0.5},
    "self_critical": {"metric": "edit_similarity", "samples": 2, "likelihood_weight": 0.1},
    "reinforce": {"metric": "edit_similarity", "samples": 3},
    "professor_forcing": {"discriminator": {"hidden_size": 5, "felt_above": -1.0, "learning_rate": 0.01}},
}
NAMES = [member_name(kind) for kind in OBJECTIVES]
every_objective = pytest.mark.parametrize("name", NAMES)
PLAIN = {"ratio": 1.0}
DROPOUT = {
    "encoder": {"embedding_size": 6, "hidden_size": 8, "dropout": {"embedding": 0.3}},
    "decoder": {"embedding_size": 6, "hidden_size": 8, "dropout": {"embedding": 0.3, "output": 0.3}},
}


class Death(BaseException):
    """What no code of ours catches."""


def trained(folder: Path, name: str, **changes: dict[str, Any]) -> Trained:
    return train(folder, objective={"name": name} | SETTINGS[name], teacher_forcing=PLAIN, **changes)


@every_objective
def test_a_run_that_died_ends_with_the_bits_of_one_that_did_not(name, tmp_path, monkeypatch):
    options: dict[str, Any] = {"model": DROPOUT, "checkpoint": {"every": 4, "keep": 9}}
    whole = trained(tmp_path / "whole", name, **options)
    log = HistoryLogger.log_metrics

    def dying(self: HistoryLogger, metrics: dict[str, float], step: int) -> None:
        if step == 11:
            raise Death
        log(self, metrics, step)

    with monkeypatch.context() as patch:
        patch.setattr(HistoryLogger, "log_metrics", dying)
        with pytest.raises(Death):
            trained(tmp_path / "died", name, **options)
    again = trained(tmp_path / "died", name, **options)
    assert same(again.weights, whole.weights) and again.history == whole.history
    assert same(again.checkpoint.training["optimizer_states"], whole.checkpoint.training["optimizer_states"])
    own = [key for key in whole.weights if key.startswith("objective.")]
    assert bool(own) == (name == "professor_forcing")
    assert all(key.startswith(("model.", "objective.")) for key in whole.weights)


@every_objective
def test_micro_batches_have_the_numbers_of_one_batch(name, tmp_path):
    one = trained(tmp_path / "one", name)
    parts = trained(tmp_path / "parts", name, trainer={"max_steps": 20, "log_every": 1, "accumulate": 3,
                                                       "accelerator": "cpu", "precision": "64-true"})  # fmt: skip
    assert one.history.keys() == parts.history.keys()
    for key, value in one.history.items():
        if key[1] != "train/passes":
            assert parts.history[key] == pytest.approx(value, abs=1e-7), key
    start = trained(tmp_path / "start", name, trainer={"max_steps": 1, "accelerator": "cpu", "precision": "64-true"})
    for key, value in one.weights.items():
        torch.testing.assert_close(parts.weights[key], value, rtol=0, atol=1e-7)
        assert not key.endswith("weight") or not torch.equal(start.weights[key], value), f"{key} was not trained"


@every_objective
def test_what_it_watches_is_logged(name, tmp_path):
    history = trained(tmp_path / "run", name, trainer={"max_steps": 3, "accelerator": "cpu", "log_every": 2}).history
    keys = {key for step, key in history if step == 2}
    assert {"train/loss", "train/ratio", "train/gradient_norm"} <= keys
    expected = {
        "minimum_risk": {"train/reward", "train/risk"},
        "self_critical": {"train/reward", "train/risk", "train/baseline"},
        "reinforce": {"train/reward", "train/risk", "train/baseline"},
        "professor_forcing": {"train/discriminator_accuracy", "train/discriminator_loss", "train/deception_loss"},
    }.get(name, set())
    assert expected <= keys and all(history[2, key] >= 0 for key in expected)
    assert {key for step, key in history if step in (1, 3) and key.startswith("train/")} == set()


@pytest.mark.parametrize("name", [pytest.param("minimum_risk", marks=pytest.mark.very_slow), "professor_forcing"])
def test_two_devices_have_the_numbers_of_one(name, tmp_path):
    options = {"minimum_risk": ["objective.samples=3"], "professor_forcing": ["objective.discriminator.felt_above=-1"]}
    settings = [*SMALL, f"objective={name}", *options[name], "trainer.precision=64-true", "trainer.max_steps=12"]
    seq2seq("train", *settings, "trainer.devices=2", "checkpoint.after_scoring=keep_all", folder=tmp_path)
    run_dir = only_run(tmp_path)
    config = read_record(run_dir).config
    config["trainer"]["devices"] = 1
    alone = Job.of(Config.from_plain({**config, "paths": {"runs": str(tmp_path / "alone")}}), [])
    run(alone)
    one, two = (
        {(entry["global_step"], entry["key"]): entry["value"] for entry in read_jsonl(folder / "history.jsonl")}
        for folder in (alone.folder, run_dir)
    )
    assert one.keys() == two.keys() and any(key.startswith("train/") for _, key in one)
    assert max(abs(one[key] - two[key]) for key in one) < 1e-9
