"""An adaptive ratio against tables worked by hand."""

from __future__ import annotations

import math

import pytest

from seq2seq_lightning.teacher_forcing import SchedulePosition, build_schedule
from seq2seq_lightning.teacher_forcing.adaptive import AdaptiveConfig, Signal
from seq2seq_lightning.teacher_forcing.schedule import Schedule

SOMEWHERE = SchedulePosition(update=7, epoch=3, share=0.9)


def follow(schedule: Schedule, losses: list[float], free: list[float] | None = None) -> list[float]:
    """The ratio after each validation."""
    ratios = []
    for teacher_forced, free_running in zip(losses, free or [math.nan] * len(losses), strict=True):
        schedule.observe({"val/loss": teacher_forced, "val/free_running_loss": free_running})
        ratios.append(schedule.ratio(SOMEWHERE))
    return ratios


def test_the_ratio_falls_whenever_the_loss_is_the_best_so_far() -> None:
    schedule = build_schedule(AdaptiveConfig(start=0.9, step=0.2))
    assert schedule.ratio(SOMEWHERE) == 0.9
    #                  compared  better  not      equal   better
    found = follow(schedule, [4.0, 3.0, 3.5, 3.0, 2.9])
    assert found == pytest.approx([0.9, 0.7, 0.7, 0.7, 0.5], abs=1e-12)


def test_the_ratio_falls_whenever_the_gap_has_grown_since_the_validation_before() -> None:
    schedule = build_schedule(AdaptiveConfig(signal=Signal.gap, step=0.25))
    #       gaps       1.0  1.5  1.2  1.4  1.4: grown at the second and the fourth
    found = follow(schedule, [3.0, 2.5, 2.0, 2.0, 1.0], [4.0, 4.0, 3.2, 3.4, 2.4])
    assert found == pytest.approx([1.0, 0.75, 0.75, 0.5, 0.5], abs=1e-12)


def test_small_changes_do_not_count_and_the_floor_holds() -> None:
    schedule = build_schedule(AdaptiveConfig(step=0.5, floor=0.2, min_delta=0.3))
    #                              -0.2  -0.4 of 4  -0.4  -1
    found = follow(schedule, [4.0, 3.8, 3.6, 3.2, 2.2])
    assert found == pytest.approx([1.0, 1.0, 0.5, 0.2, 0.2], abs=1e-12)


@pytest.mark.parametrize("signal", Signal)
def test_a_loss_that_is_no_number_is_no_signal_and_forgotten(signal: Signal) -> None:
    schedule = build_schedule(AdaptiveConfig(signal=signal, step=0.5))
    found = follow(schedule, [math.nan, 4.0, math.nan, 3.0], [9.0, 5.0, 9.0, 9.0])
    assert found == [1.0, 1.0, 1.0, 0.5]


@pytest.mark.parametrize("signal", Signal)
def test_it_goes_on_from_what_it_remembers(signal: Signal) -> None:
    losses, free = [4.0, 3.0, 3.5, 2.0, 2.5], [5.0, 5.0, 5.0, 5.0, 5.0]
    config = AdaptiveConfig(signal=signal)
    whole = follow(build_schedule(config), losses, free)
    for stop in range(5):
        before, after = build_schedule(config), build_schedule(config)
        first = follow(before, losses[:stop], free[:stop])
        after.load_state_dict(before.state_dict())
        assert first + follow(after, losses[stop:], free[stop:]) == whole
