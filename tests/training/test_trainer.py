"""One update is one update, however it is divided and in whatever precision it is computed."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.plugins import MixedPrecision

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.training.loggers import HistoryLogger
from seq2seq_lightning.training.settings import RESERVED_TRAINER_ARGUMENTS, Accelerator, TrainerConfig
from seq2seq_lightning.training.trainer import prepare_process
from tests.bits import same
from tests.training.tiny import train

CLIPPED: dict[str, Any] = {"name": "adam", "clip_norm": 0.2, "ema": 0.9}


def furthest(one: dict[tuple[int, str], float], other: dict[tuple[int, str], float]) -> float:
    """The largest difference of two histories of the same entries, but for the passes, which micro-batches divide."""
    assert one.keys() == other.keys()
    return max(abs(one[key] - other[key]) for key in one if key[1] != "train/passes")


def test_micro_batches_are_one_batch(tmp_path: Path) -> None:
    """11 updates of 8 rows and one of 2 make an epoch: 3 micro-batches hold 3, 3, 2 rows, or 1, 1 and none."""
    whole = train(tmp_path / "whole", optimizer=CLIPPED)
    assert len(whole.curve("train/loss")) == 20
    assert max(whole.curve("train/gradient_norm")) > CLIPPED["clip_norm"]
    assert 0.2 < sum(whole.curve("train/fed_back")) / 20 < 0.7
    for accumulate in (3, 4):
        parts = train(tmp_path / str(accumulate), optimizer=CLIPPED, trainer={"accumulate": accumulate})
        assert furthest(whole.history, parts.history) < 1e-9
        pairs = [(tensor, parts.weights[name]) for name, tensor in whole.weights.items()]
        assert all(torch.allclose(one, other, rtol=0, atol=1e-9) for one, other in pairs)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("64-true", torch.float64), ("32-true", torch.float32), ("bf16-mixed", torch.float32)]
)
def test_every_precision_trains(precision: str, dtype: torch.dtype, tmp_path: Path) -> None:
    exact = train(tmp_path / "exact", trainer={"max_steps": 3})
    other = train(tmp_path / "other", trainer={"max_steps": 3, "precision": precision})
    assert {tensor.dtype for tensor in other.weights.values()} == {dtype}
    far = furthest(exact.history, other.history)
    if precision == "64-true":
        assert far == 0.0
    else:
        assert 0.0 < far < (1e-4 if precision == "32-true" else 0.1)


class Death(BaseException):
    """What no code of ours catches."""


def dying(function: Callable[..., Any], call: int) -> Callable[..., Any]:
    """The function, until its so-many-th call."""
    calls = iter(range(1, call))

    def wrapped(*arguments: Any, **options: Any) -> Any:
        if next(calls, None) is None:
            raise Death
        return function(*arguments, **options)

    return wrapped


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_a_training_that_dies_is_resumed_to_the_same_bits(
    precision: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {
        "trainer": {"max_steps": 9, "precision": precision},
        "optimizer": {"name": "adam", "ema": 0.8},
        "learning_rate": {"name": "halve_after", "after": 0.3},
        "checkpoint": {"every": 2},
        "validation": {"every": 5},
    }
    whole = train(tmp_path / "whole", **settings)
    with monkeypatch.context() as patch:
        patch.setattr(HistoryLogger, "log_metrics", dying(HistoryLogger.log_metrics, 8))
        with pytest.raises(Death):
            train(tmp_path / "parts", **settings)
    parts = train(tmp_path / "parts", **settings)
    assert whole.history == parts.history and len(set(whole.curve("train/learning_rate"))) > 3
    assert same(whole.weights, parts.weights)
    for state in ("optimizer_states", "lr_schedulers", "ema"):
        assert state in whole.checkpoint.training
        assert same(whole.checkpoint.training[state], parts.checkpoint.training[state]), state
    assert {tensor.dtype for tensor in parts.checkpoint.training["ema"]["weights"].values()} == {torch.float32}


@pytest.fixture(params=["cpu", "gpu"])
def scaling(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings of float16 with a gradient scaler; on a CPU, where we refuse it, by putting torch's scaler in."""
    if request.param == "gpu":
        if not torch.cuda.is_available():
            pytest.skip("needs a GPU")
        return {"precision": "16-mixed", "accelerator": "gpu"}
    real = pl.Trainer

    def with_scaler(**options: Any) -> pl.Trainer:
        if options.pop("precision") == "16-mixed":
            scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=3)
            options["plugins"].append(MixedPrecision("16-mixed", "cpu", scaler))
        return real(**options)

    monkeypatch.setattr(pl, "Trainer", with_scaler)
    return {"precision": "16-mixed", "accelerator": "auto"}


def test_scaled_gradients_are_clipped_at_their_own_size_and_the_scale_is_resumed(
    scaling: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {
        "trainer": {"max_steps": 7, **scaling},
        "optimizer": {"name": "sgd", "clip_norm": 0.1, "learning_rate": 1.0},
        "checkpoint": {"every": 2},
    }
    exact = train(tmp_path / "exact", **settings | {"trainer": {"max_steps": 7, "precision": "32-true"}})
    whole = train(tmp_path / "whole", **settings)
    assert min(exact.curve("train/gradient_norm")) > 0.2  # clipping at 0.1 acts in every update
    assert whole.curve("train/gradient_norm") == pytest.approx(exact.curve("train/gradient_norm"), rel=0.02)
    moved = [other - whole.weights[name].cpu() for name, other in exact.weights.items()]
    assert 0 < max(float(each.abs().max()) for each in moved) < 1e-3  # of 7 steps of norm 0.1
    with monkeypatch.context() as patch:
        patch.setattr(HistoryLogger, "log_metrics", dying(HistoryLogger.log_metrics, 6))
        with pytest.raises(Death):
            train(tmp_path / "parts", **settings)
    parts = train(tmp_path / "parts", **settings)
    assert same(whole.weights, parts.weights)
    assert whole.checkpoint.training["MixedPrecision"] == parts.checkpoint.training["MixedPrecision"] != {}


def test_half_precision_is_for_the_gpu() -> None:
    with pytest.raises(ConfigurationError, match=r"16-mixed needs a GPU\. Set trainer\.precision=bf16-mixed"):
        prepare_process(TrainerConfig(precision="16-mixed", accelerator=Accelerator.cpu), width=64)


def test_what_the_framework_tells_lightning_cannot_be_told_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    build = pl.Trainer

    def listen(**given: Any) -> pl.Trainer:
        told.extend(given)
        return build(**given)

    monkeypatch.setattr(pl, "Trainer", functools.wraps(build)(listen))
    train(tmp_path / "run", trainer={"max_steps": 1, "extra": {"detect_anomaly": True}})
    assert set(told) - {"detect_anomaly"} <= set(RESERVED_TRAINER_ARGUMENTS)


def test_further_arguments_are_those_that_lightning_knows(tmp_path: Path) -> None:
    words = r"trainer\.extra\.min_step is no argument of Lightning's Trainer\. Did you mean 'min_steps'\?"
    with pytest.raises(ConfigurationError, match=words):
        train(tmp_path / "run", trainer={"max_steps": 1, "extra": {"min_step": 1}})


def test_the_last_update_is_validated_wherever_the_interval_falls_and_nothing_is_said(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    level = logging.getLogger("lightning.pytorch").getEffectiveLevel()
    run = train(tmp_path / "run", trainer={"max_steps": 14})  # an epoch has 12
    assert [step for step, key in run.history if key == "val/loss"] == [12, 14]
    assert (*capfd.readouterr(), caplog.records) == ("", "", [])
    assert logging.getLogger("lightning.pytorch").getEffectiveLevel() == level  # Lightning's own, for its other users
