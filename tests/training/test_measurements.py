"""What training is said to have cost, by a clock that the test moves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from seq2seq_lightning.training import callbacks
from seq2seq_lightning.training.callbacks import Measurements

TRAINER: Any = SimpleNamespace(accumulate_grad_batches=1)
MODULE: Any = None


class Clock:
    """The module `time` as the callbacks see it, moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(callbacks, "time", clock)
    return clock


def batch(labels: int) -> Any:
    """Two rows: 3 and 5 source positions of 5, 2 and 4 labels of 4; the global batch has so many labels."""
    return SimpleNamespace(
        source=torch.zeros(2, 5),
        source_lengths=torch.tensor([3, 5]),
        target_inputs=torch.zeros(2, 4),
        target_lengths=torch.tensor([2, 4]),
        label_count=labels,
    )


def train(measurements: Measurements, clock: Clock, updates: int, seconds: float, labels: int, first: int = 0) -> None:
    for index in range(first, first + updates):
        measurements.on_train_batch_start(TRAINER, MODULE, batch(labels), index)
        clock.now += seconds
        measurements.on_train_batch_end(TRAINER, MODULE, None, batch(labels), index)


def test_windows_hold_seconds_and_labels_of_ten_updates_each(clock: Clock) -> None:
    measurements = Measurements()
    train(measurements, clock, 10, seconds=2.0, labels=6)
    train(measurements, clock, 10, seconds=0.5, labels=4)
    train(measurements, clock, 9, seconds=0.5, labels=4)
    assert measurements.windows == [[20.0, 60], [5.0, 40]]


def test_validation_and_saving_inside_a_window_do_not_count(clock: Clock) -> None:
    measurements = Measurements()
    train(measurements, clock, 4, seconds=1.0, labels=6)
    measurements.on_validation_start(TRAINER, MODULE)
    clock.now += 1000.0
    train(measurements, clock, 3, seconds=1.0, labels=6)
    measurements.on_save_checkpoint(TRAINER, MODULE, {})
    clock.now += 1000.0
    train(measurements, clock, 3, seconds=1.0, labels=6)
    assert measurements.windows == [[10.0, 60]]


def test_a_resumed_training_goes_on_in_the_window_it_left(clock: Clock) -> None:
    before, after = Measurements(), Measurements()
    train(before, clock, 14, seconds=1.0, labels=6)
    before.on_save_checkpoint(TRAINER, MODULE, {})
    after.load_state_dict(before.state_dict())
    clock.now += 1000.0
    train(after, clock, 6, seconds=2.0, labels=6)
    assert after.windows == [[10.0, 60], [16.0, 60]]


def test_timings_tell_the_spread_without_the_first_window_and_the_padding(clock: Clock) -> None:
    measurements = Measurements()
    for seconds in (9.0, 1.0, 2.0, 4.0):
        train(measurements, clock, 10, seconds=seconds, labels=8)
    measurements.on_train_end(TRAINER, MODULE)
    timings = measurements.timings()
    assert timings["train_seconds"] == 160.0
    assert timings["target_tokens_per_second"] == 2.0  # 40 · 8 labels in 160 s
    assert timings["target_tokens_per_second_median"] == 4.0  # of 8, 4 and 2
    assert timings["target_tokens_per_second_min"] == 2.0
    assert timings["target_tokens_per_second_max"] == 8.0
    assert timings["padding_share"] == round(4 / 18, 4)  # 2 of 10 source and 2 of 8 target positions


def test_without_a_full_window_there_is_no_spread(clock: Clock) -> None:
    measurements = Measurements()
    train(measurements, clock, 9, seconds=1.0, labels=8)
    assert not [key for key in measurements.timings() if key.endswith(("_median", "_min", "_max"))]


def test_micro_batches_count_once_per_update(clock: Clock) -> None:
    measurements, trainer = Measurements(), SimpleNamespace(accumulate_grad_batches=2)
    for index in range(20):
        measurements.on_train_batch_start(trainer, MODULE, batch(8), index)  # type: ignore[arg-type]
        clock.now += 1.0
        measurements.on_train_batch_end(trainer, MODULE, None, batch(8), index)  # type: ignore[arg-type]
    assert measurements.windows == [[20.0, 80]]
