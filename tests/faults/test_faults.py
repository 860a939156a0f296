"""Whatever ends a run, the same command brings it to the end it would have had, bit for bit.

Crash points (seq2seq_lightning/crash_points.py) end the process at a named place; signals come at random moments. The
workers are forked by a process that has imported everything (zygote.py); what comes before a worker, the command and
torchrun, is disturbed in test_fault_commands.py.
"""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from seq2seq_lightning.experiments.ledger import State, state_of
from seq2seq_lightning.experiments.record import read_record
from seq2seq_lightning.job import Job
from tests.faults import figures
from tests.faults.disturbed import LAST_UPDATE, Ended, Zygote, differences, job

pytestmark = [pytest.mark.timeout(3600)]

WRITES = ("before", "during", "written", "after")
POINTS = [
    *(f"{kind} {moment}" for kind in ("checkpoint", "index", "record") for moment in WRITES),
    *(f"history {moment}" for moment in ("before", "during", "after")),
    "checkpoint removal",
    *(f"training {moment}" for moment in ("begin", "batch", "update", "batch end", "end")),
    *(f"validation {moment}" for moment in ("begin", "batch", "end")),
]
LATE_POINTS = [  # those that come once, after training has ended
    *(
        f"{kind} {moment}"
        for kind in ("average", "windows", "fitted", "hypotheses", "attention", "scores")
        for moment in WRITES
    ),
    *(f"scoring {moment}" for moment in ("begin", "batch")),
]
CRASHES = 5  # at least so many at each point


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote() as opened:
        yield opened


class Undisturbed:
    """The run that nobody disturbed, and what it took and passed, by loader workers and devices."""

    def __init__(self, zygote: Zygote, folder: Path) -> None:
        self._zygote, self._folder = zygote, folder
        self._made: dict[tuple[int, int], tuple[Job, Ended]] = {}

    def __call__(self, workers: int = 0, devices: int = 1) -> tuple[Job, Ended]:
        key = workers, devices
        if key not in self._made:
            made = job(self._folder / f"{workers}-{devices}", workers, devices)
            ended = self._zygote.run(made, crash_at="count")
            assert ended.statuses == [0] * devices, ended.log
            self._made[key] = made, ended
        return self._made[key]


@pytest.fixture(scope="module")
def undisturbed(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return Undisturbed(zygote, tmp_path_factory.mktemp("undisturbed"))


def continued(zygote: Zygote, disturbed: Job, undisturbed: Undisturbed) -> bool:
    """Finish the run by the same command; whether it is the undisturbed one."""
    trainer, data = disturbed.config["trainer"], disturbed.config["data"]
    ended = zygote.run(disturbed)
    assert set(ended.statuses) == {0}, ended.log
    assert state_of(disturbed.folder).state is State.finished
    found = differences(disturbed.folder, undisturbed(data["batching"]["workers"], trainer["devices"])[0].folder)
    assert found == []
    return not found


@pytest.mark.slow
def test_the_undisturbed_run_comes_to_every_point(undisturbed: Undisturbed) -> None:
    made, ended = undisturbed()
    assert set(ended.hits) == {*POINTS, *LATE_POINTS}
    assert read_record(made.folder).timings["updates"] == LAST_UPDATE
    assert differences(undisturbed(workers=1)[0].folder, made.folder) == []


@pytest.mark.slow
def test_a_run_that_crashes_wherever_it_writes_has_the_same_bits(
    zygote: Zygote, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    """The sample of `make test`: one run that dies eight times."""
    places = ["history during:9", "checkpoint during:700", "validation batch:1", "checkpoint written:2"]
    places += ["index written:3", "checkpoint removal:1", "scoring batch:1", "record during:2"]
    disturbed = job(tmp_path)
    for place in places:
        assert zygote.run(disturbed, crash_at=place).statuses == [-signal.SIGKILL], place
    assert continued(zygote, disturbed, undisturbed)


@pytest.mark.very_slow
@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_crashes_five_times_at_a_point_has_the_same_bits(
    point: str, zygote: Zygote, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    draw = random.Random(point)
    total = undisturbed()[1].hits[point]
    crashes = runs = 0
    while crashes < CRASHES:
        disturbed = job(tmp_path / str(runs), workers=runs % 2 if total > 1 else (crashes % 2))
        hits = draw.sample(range(1, max(CRASHES, total // CRASHES) + 1), CRASHES) if total > 2 else [1, 2, 1, 2, 1]
        for hit in hits[: CRASHES - crashes]:
            ended = zygote.run(disturbed, crash_at=f"{point}:{min(hit, total)}")
            if ended.statuses == [0]:  # fewer hits were left than that
                break
            assert ended.statuses == [-signal.SIGKILL], ended.log
            crashes += 1
        assert continued(zygote, disturbed, undisturbed)
        runs += 1
    figures.add(f"`{point}`", "0, 1", 1, crashes, runs, runs)


@pytest.fixture(scope="module")
def trained(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that died when its training had ended."""
    folder = tmp_path_factory.mktemp("trained")
    assert zygote.run(job(folder), crash_at="training end:1").statuses == [-signal.SIGKILL]
    return folder


@pytest.mark.very_slow
@pytest.mark.parametrize("point", LATE_POINTS)
def test_a_run_that_crashes_after_training_has_the_same_bits(
    point: str, zygote: Zygote, undisturbed: Undisturbed, trained: Path, tmp_path: Path
) -> None:
    for crash in range(CRASHES):
        shutil.copytree(trained, tmp_path / str(crash))
        disturbed = job(tmp_path / str(crash))
        ended = zygote.run(disturbed, crash_at=f"{point}:1")
        assert ended.statuses == [-signal.SIGKILL], ended.log
        assert continued(zygote, disturbed, undisturbed)
    figures.add(f"`{point}`", "0", 1, CRASHES, CRASHES, CRASHES)


@pytest.mark.very_slow
@pytest.mark.parametrize("point", ["encoded before", "encoded during", "encoded after"])
def test_a_run_that_crashes_while_it_fills_the_cache_has_the_same_bits(
    point: str, zygote: Zygote, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    disturbed = job(tmp_path / "runs", cache=cache)
    for crash in range(CRASHES):
        assert zygote.run(disturbed, crash_at=f"{point}:1").statuses == [-signal.SIGKILL]
        if point == "encoded after" and crash < CRASHES - 1:
            shutil.rmtree(cache)  # what is there is used, and not made again
    assert continued(zygote, disturbed, undisturbed)
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1  # what the kills left behind is gone
    figures.add(f"`{point}` (the cache of ids)", "0", 1, CRASHES, 1, 1)


def disturb_at_random(
    zygote: Zygote, undisturbed: Undisturbed, tmp_path: Path, number: signal.Signals, wanted: int, **how: int
) -> int:
    """Send a signal at a random moment, again and again, until so many have hit; returns the number of runs."""
    draw = random.Random(f"{number.name} {how}")
    seconds = undisturbed(**how)[1].seconds
    status = -number if number is signal.SIGKILL else 128 + number
    hit = runs = 0
    while hit < wanted:
        disturbed = job(tmp_path / f"{number.name}-{runs}", **how)
        hit_before = hit
        while hit < wanted:
            ended = zygote.run(disturbed, signal=int(number), after=draw.uniform(0.0, 1.1 * seconds))
            if set(ended.statuses) == {0}:
                seconds = ended.seconds if hit == hit_before else seconds  # machines are not equally busy all the time
                break
            assert set(ended.statuses) == {status}, ended.log
            if number is signal.SIGTERM:
                assert state_of(disturbed.folder).state in (State.interrupted, State.missing)
                assert "the same command continues" in ended.log
            hit += 1
        assert continued(zygote, disturbed, undisturbed)
        runs += 1
    return runs


@pytest.mark.very_slow
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("number", "wanted", "ending"), [(signal.SIGKILL, 25, ""), (signal.SIGTERM, 10, ": status 143")]
)
def test_a_run_that_is_ended_at_random_moments_has_the_same_bits(
    number: signal.Signals,
    wanted: int,
    ending: str,
    workers: int,
    zygote: Zygote,
    undisturbed: Undisturbed,
    tmp_path: Path,
) -> None:
    runs = disturb_at_random(zygote, undisturbed, tmp_path, number, wanted, workers=workers)
    assert runs > 0
    scenario = f"{number.name} at random moments, {workers} workers{ending}"
    figures.add(scenario, str(workers), 1, wanted, runs, runs)


@pytest.mark.very_slow
@pytest.mark.parametrize(("number", "wanted"), [(signal.SIGKILL, 8), (signal.SIGTERM, 6)])
def test_two_devices_that_are_ended_at_random_moments_have_the_same_bits(
    number: signal.Signals, wanted: int, zygote: Zygote, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    runs = disturb_at_random(zygote, undisturbed, tmp_path, number, wanted, devices=2)
    assert runs > 0
    figures.add(f"{number.name} of both ranks at random moments", "0", 2, wanted, runs, runs)


@pytest.mark.very_slow
def test_when_one_of_two_ranks_is_killed_the_other_ends_and_the_run_has_the_same_bits(
    zygote: Zygote, undisturbed: Undisturbed, tmp_path: Path
) -> None:
    draw, seconds = random.Random(3), undisturbed(devices=2)[1].seconds
    hit = runs = 0
    while hit < 6:
        disturbed = job(tmp_path / str(runs), devices=2)
        while hit < 6:
            moment = draw.uniform(0.3 * seconds, seconds)
            ended = zygote.run(disturbed, signal=int(signal.SIGKILL), after=moment, victims=[hit % 2])
            if ended.statuses == [0, 0]:
                break
            assert ended.statuses[hit % 2] == -signal.SIGKILL, ended.log
            hit += 1
        assert continued(zygote, disturbed, undisturbed)
        runs += 1
    figures.add("SIGKILL of one rank of two, the other ends by itself", "0", 2, hit, runs, runs)
