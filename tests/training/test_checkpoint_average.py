"""The mean of checkpoints: which ones, whose mean, who gets it, and that no clock has a say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq_lightning.config import Config, fingerprint
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.files import read_json
from seq2seq_lightning.job import Job
from seq2seq_lightning.run import train_model
from seq2seq_lightning.trained import load
from seq2seq_lightning.training.checkpoint_average import average_checkpoints, entries_to_average, mean_weights
from seq2seq_lightning.training.checkpoint_index import (
    AverageEntry,
    CheckpointEntry,
    CheckpointIndex,
    best_checkpoint,
    read_index,
)
from seq2seq_lightning.training.checkpoints import read_checkpoint, tidy
from seq2seq_lightning.training.settings import AfterScoring, AverageOf, CheckpointConfig
from tests.training.tiny import PLAIN, Trained, tiny_config, train


def index(*entries: tuple[int, float | None]) -> CheckpointIndex:
    kept = [CheckpointEntry(f"step-{step}.ckpt", step, score) for step, score in entries]
    return CheckpointIndex(kept[-1].file, kept[0].file, kept)


def chosen(config: CheckpointConfig, mode: str = "min", ended: bool = True) -> list[int]:
    found = index((10, 3.0), (13, None), (15, 1.0), (20, 2.0), (22, None))
    return [entry.global_step for entry in entries_to_average(found, config, mode, ended)]


def test_one_checkpoint_is_no_average() -> None:
    assert chosen(CheckpointConfig(average=1)) == []


def test_the_last_are_those_that_updates_called_for_and_not_a_clock_or_a_signal() -> None:
    config = CheckpointConfig(every=10, keep=3, average=3)
    assert chosen(config, ended=False) == [10, 15, 20]  # 13 and 22 were saved because of the time, or a signal
    assert chosen(config) == [15, 20, 22]  # but the end of training is an update like any other


def test_the_best_are_those_with_the_best_scores_in_the_order_of_training() -> None:
    config = CheckpointConfig(average=2, average_of=AverageOf.best)
    assert chosen(config) == [15, 20] and chosen(config, mode="max") == [10, 20]


def test_without_any_score_the_best_are_the_last() -> None:
    config = CheckpointConfig(every=10, average=2, average_of=AverageOf.best)
    found = entries_to_average(index((10, None), (15, None), (20, None), (30, None)), config, "min", True)
    assert [entry.global_step for entry in found] == [20, 30]


def test_the_mean_is_summed_in_float64_and_what_does_not_float_is_the_newest() -> None:
    many = [{"a": torch.tensor([2.0**24]), "n": torch.tensor(1)}, {"a": torch.tensor([1.0]), "n": torch.tensor(2)}]
    mean = mean_weights([*many, {"a": torch.tensor([1.0]), "n": torch.tensor(3)}])
    assert mean["a"].dtype is torch.float32 and mean["n"] == 3
    assert mean["a"].item() == torch.tensor((2.0**24 + 2) / 3).item()  # in float32 2^24 + 1 + 1 is 2^24


CHECKPOINT: dict[str, Any] = {"every": 2, "keep": 3, "average": 3}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Saved after 2, 4, 6, 8 and, as the end, 9 updates."""
    validation = {"every": 100}
    return train(tmp_path_factory.mktemp("run"), checkpoint=CHECKPOINT, trainer={"max_steps": 9}, validation=validation)


def test_a_run_is_loaded_with_the_mean_of_its_last_checkpoints(trained: Trained) -> None:
    assert read_index(trained.folder / "checkpoints").average == AverageEntry("average.ckpt", [6, 8, 9])
    weights = load(trained.folder).model.state_dict()
    many = [trained.weights_at(step) for step in (6, 8, 9)]
    for name, found in weights.items():
        expected = sum(each[f"model.{name}"] for each in many) / 3
        assert torch.allclose(found, expected, rtol=0, atol=1e-12), name
    assert any(not torch.equal(weights[name], many[-1][f"model.{name}"]) for name in weights)


def test_the_best_are_kept_until_they_are_averaged_however_old(tmp_path: Path) -> None:
    run = train(
        tmp_path / "run",
        checkpoint={"keep": 1, "average": 2, "average_of": "best"},
        validation={"every": 1},
        optimizer={"name": "adam", "learning_rate": 3.0},  # so that the loss rises from the first update on
        trainer={"max_steps": 6},
    )
    losses = run.curve("val/loss")
    assert max(losses[:2]) < min(losses[2:])
    assert read_index(run.folder / "checkpoints").average == AverageEntry("average.ckpt", [1, 2])


def test_the_mean_is_no_place_to_resume_from(trained: Trained) -> None:
    average = read_checkpoint(trained.folder / "checkpoints" / "average.ckpt")
    assert not average.can_be_resumed and average.global_step == 9
    assert trained.checkpoint.can_be_resumed and trained.checkpoint.global_step == 9


def test_the_score_of_the_run_is_that_of_its_best_checkpoint_before(trained: Trained) -> None:
    (score,) = trained.curve("val/loss")
    assert read_json(trained.folder / "fitted.json")["best_score"] == pytest.approx(score, rel=1e-6)


def test_averaging_again_gives_the_same_bits(trained: Trained) -> None:
    """As a run does that died between the mean and the end of training."""
    folder = trained.folder / "checkpoints"
    before, listed = read_checkpoint(folder / "average.ckpt").weights, (folder / "index.json").read_bytes()
    average_checkpoints(folder, trained.config.checkpoint, "min")
    after = read_checkpoint(folder / "average.ckpt").weights
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert (folder / "index.json").read_bytes() == listed


def test_a_mean_of_fewer_than_asked_for_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(tmp_path / "run", checkpoint={"every": 2, "average": 3, "keep": 3}, trainer={"max_steps": 4})
    words = "checkpoint.average=3, but training wrote 2 such checkpoints only: the mean is of those after 2, 4 updates."
    assert words in capsys.readouterr().err


def test_patience_without_a_validation_split_is_refused_when_the_data_is_read(tmp_path: Path) -> None:
    """As with a corpus that does not tell beforehand what it has."""
    config = tiny_config(validation={"patience": 3})
    corpus = dataclasses.replace(build_task(config.data).read(), val=None)
    with pytest.raises(ConfigurationError, match=r"validation\.patience=3 .* no validation split"):
        train_model(Job(str(tmp_path), "0" * 12, config.to_plain()), config, corpus, {})


@pytest.mark.parametrize("choice, left", [("keep_best", {"average.ckpt"}), ("delete", set())])
def test_afterwards_the_mean_is_the_checkpoint_that_stays(choice: str, left: set[str], tmp_path: Path) -> None:
    run = train(tmp_path / "run", checkpoint={"every": 1, "average": 2}, trainer={"max_steps": 2})
    for _ in range(2):  # a run that dies while it tidies up does so again
        tidy(run.folder / "checkpoints", AfterScoring[choice])
    assert {path.name for path in (run.folder / "checkpoints").glob("*.ckpt")} == left
    found = best_checkpoint(run.folder / "checkpoints")
    assert (found.name if found else None) == (min(left) if left else None)


def named(**checkpoint: Any) -> str:
    return fingerprint(Config.from_plain(PLAIN | {"checkpoint": checkpoint}))


def test_what_is_scored_names_the_run_and_nothing_else_does() -> None:
    assert named() == named(keep=5) == named(every=7)
    assert len({named(), named(average=2), named(average=2, every=7), named(average=2, average_of="best")}) == 4


REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"average": 0}, ["checkpoint.average is 0", "above 0"]),
    ({"average": 5}, ["checkpoint.average=5", "checkpoint.keep=2", "Set checkpoint.keep=5", "average_of=best"]),
    ({"average_of": AverageOf.best}, ["average_of=best changes nothing", "checkpoint.average=1"]),
]


@pytest.mark.parametrize(("options", "parts"), REFUSED)
def test_what_is_refused_and_how(options: dict[str, Any], parts: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        CheckpointConfig(**options)
    for part in parts:
        assert part in str(caught.value)
