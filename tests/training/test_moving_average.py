"""The moving average of the weights: the formula, what sees it, and what goes on without it."""

from __future__ import annotations

import pytest
import torch

from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.trained import load
from seq2seq_lightning.training.moving_average import MovingAverage
from tests.training.tiny import Trained, train

UPDATES, DECAY = 8, 0.8
EACH = {"every": 1, "keep": UPDATES}  # a checkpoint of each update
SHORT = {"max_steps": UPDATES, "accumulate": 2}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The same training without an average."""
    return train(tmp_path_factory.mktemp("plain"), checkpoint=EACH, trainer=SHORT, validation={"every": 3})


@pytest.fixture(scope="module")
def averaged(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("averaged")
    optimizer = {"name": "adam", "ema": DECAY}
    return train(folder, checkpoint=EACH, trainer=SHORT, validation={"every": 3}, optimizer=optimizer)


@pytest.mark.parametrize("update", range(1, UPDATES + 1))
def test_a_checkpoint_holds_the_weighted_mean_of_all_weights_so_far(
    update: int, plain: Trained, averaged: Trained
) -> None:
    shares = [DECAY ** (update - k) for k in range(1, update + 1)]
    weights = [plain.weights_at(k) for k in range(1, update + 1)]
    for name, found in averaged.weights_at(update).items():
        terms = (share * each[name] for share, each in zip(shares, weights, strict=True))
        expected = torch.stack(list(terms)).sum(0) / sum(shares)
        assert torch.allclose(found, expected, rtol=0, atol=1e-12), name


def test_training_goes_on_with_the_weights_themselves(plain: Trained, averaged: Trained) -> None:
    kept = averaged.checkpoint.training["ema"]
    assert kept["updates"] == UPDATES
    assert all(torch.equal(kept["weights"][name], plain.weights[name]) for name in plain.weights)
    assert averaged.curve("train/loss") == plain.curve("train/loss")


def test_validation_and_whoever_loads_the_run_see_the_average(plain: Trained, averaged: Trained) -> None:
    assert averaged.curve("val/loss") != plain.curve("val/loss")
    task = build_task(averaged.config.data).read()
    for run in (plain, averaged):
        for update in (3, 6, UPDATES):
            scored = load(run.folder / "checkpoints" / f"step-{update}.ckpt").score(task.val)
            assert scored.scores["perplexity"].value == pytest.approx(run.history[update, "val/perplexity"], rel=1e-9)


def test_the_share_of_the_newest_weights_begins_with_one_and_does_not_cancel() -> None:
    average = MovingAverage(1 - 1e-9)
    average.updates = 1
    assert average.weight == pytest.approx(1, rel=1e-12)
    average.updates = 4  # of nearly equal weights: a mean
    assert average.weight == pytest.approx(0.25, rel=1e-8)
