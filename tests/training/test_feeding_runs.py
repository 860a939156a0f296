"""Whole trainings under every schedule: what they log is what the formulas say, and a resumed one is the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from seq2seq_lightning.data.tasks.symbols import SymbolsConfig
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.structure import member_name
from seq2seq_lightning.teacher_forcing import SCHEDULES
from seq2seq_lightning.training.loggers import HistoryLogger
from tests.bits import same
from tests.training import tiny
from tests.training.test_trainer import Death, dying
from tests.training.tiny import tiny_config, train

STEPS, PER_EPOCH = 14, 12


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def by_hand(name: str, update: int) -> float:
    """The ratio of the update after so many, with the defaults: from 1.0 to 0.5 in 14 updates; per epoch of 12."""
    share = update / STEPS
    high, low = logistic(5), logistic(-5)
    return {
        "constant": 0.5,
        "linear": 1 - share / 2,
        "exponential": 0.5**share,
        "inverse_sigmoid": 0.5 + 0.5 * (logistic(10 * (0.5 - share)) - low) / (high - low),
        "piecewise": 1 - 0.1 / 9 * (update // PER_EPOCH),
    }[name]


def feeding(**options: Any) -> dict[str, Any]:
    """The section, replaced as a whole."""
    return {"ratio": 0.5} | options if options["name"] == "constant" else options


@pytest.mark.slow
@pytest.mark.parametrize("granularity", ["token", "step", "sequence"])
@pytest.mark.parametrize("name", [member_name(each) for each in SCHEDULES if member_name(each) != "confidence"])
def test_each_logged_ratio_is_the_formula(
    name: str, granularity: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tiny.PLAIN, "teacher_forcing", feeding(name=name, granularity=granularity))
    run = train(tmp_path / "run", trainer={"max_steps": STEPS}, validation={"every": 5})
    ratios = run.curve("train/ratio")
    if name == "adaptive":  # validations at 5, 10 and 14; the first is only compared with
        improved = run.history[10, "val/loss"] < run.history[5, "val/loss"]
        assert ratios == [1.0] * 10 + [0.95 if improved else 1.0] * 4
    else:
        assert ratios == pytest.approx([by_hand(name, update) for update in range(STEPS)], abs=1e-12)
    fed_back, passes = run.curve("train/fed_back"), run.curve("train/passes")
    assert len(fed_back) == len(passes) == STEPS
    assert all(0 <= share <= 1 for share in fed_back)
    assert all(made == (2 if share else 1) for made, share in zip(passes, fed_back, strict=True))


@pytest.mark.slow
def test_confidence_runs_with_a_coin_per_token_and_is_refused_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tiny.PLAIN, "teacher_forcing", feeding(name="confidence", threshold=0.12))
    run = train(tmp_path / "run", trainer={"max_steps": 4})
    own = [1 - ratio for ratio in run.curve("train/ratio")]
    assert run.curve("train/fed_back") == pytest.approx(own)  # with floor=0 no coin is left to chance
    assert 0 < sum(own) < 4
    assert set(run.curve("train/passes")) <= {2.0, 3.0}
    for granularity in ("step", "sequence", "batch", "mixed"):
        with pytest.raises(ConfigurationError, match=rf"granularity={granularity}.*a ratio of its own"):
            tiny_config(teacher_forcing={"granularity": granularity})


@pytest.mark.slow
@pytest.mark.parametrize("signal", ["loss", "gap"])
def test_an_adaptive_ratio_is_resumed_to_the_same_bits(
    signal: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tiny.PLAIN, "teacher_forcing", feeding(name="adaptive", signal=signal, step=0.2))
    settings: dict[str, Any] = {
        "trainer": {"max_steps": 14},
        "validation": {"every": 2},
        "checkpoint": {"every": 1},
        "optimizer": {"name": "adam", "learning_rate": 0.03},
    }
    whole = train(tmp_path / "whole", **settings)
    assert len(set(whole.curve("train/ratio"))) > 1
    for death in (8, 13, 17):  # log entries, of which a validation writes one too
        with monkeypatch.context() as patch:
            patch.setattr(HistoryLogger, "log_metrics", dying(HistoryLogger.log_metrics, death))
            with pytest.raises(Death):
                train(tmp_path / str(death), **settings)
        parts = train(tmp_path / str(death), **settings)
        assert whole.history == parts.history
        assert same(whole.weights, parts.weights)
        assert whole.checkpoint.training["feeding"] == parts.checkpoint.training["feeding"]


@pytest.mark.parametrize(
    ("group", "choice"), [("teacher_forcing", feeding(name="adaptive")), ("learning_rate", {"name": "plateau"})]
)
def test_a_task_that_turns_out_to_have_no_validation_split_is_told_before_training(
    group: str, choice: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(tiny.PLAIN, group, choice)
    monkeypatch.setattr(SymbolsConfig, "has_validation", True)
    with pytest.raises(ConfigurationError, match=f"{group}={choice['name']} .*there is no validation split"):
        train(tmp_path / "run", data=tiny.PLAIN["data"] | {"val_size": 0})


@pytest.mark.slow
def test_a_curriculum_changes_what_is_learnt(tmp_path: Path) -> None:
    data = {**tiny.PLAIN["data"], "batching": {"size": 8, "curriculum_epochs": 1}}
    runs = [train(tmp_path / str(index), trainer={"max_steps": 12}, data=each) for index, each in enumerate(({}, data))]
    assert not same(runs[0].weights, runs[1].weights)
