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
from dataclasses import dataclass, field
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
CACHE_POINTS = [  # arrays, then their index, then a damaged entry makes place for the new one
    *(f"encoded {moment}" for moment in ("before", "during", "written", "moved", "after")),
    *(f"cache {moment}" for moment in WRITES),
]
CRASHES = 5  # at each point
IN_A_ROW = 3  # in one training, before it is let come to its end


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


@dataclass
class Tally:
    """What was done to the trainings of one scenario, and what became of them."""

    zygote: Zygote
    undisturbed: Undisturbed
    disturbed: int = 0  # processes ended
    runs: int = 0  # trainings finished in spite of it
    different: list[list[str]] = field(default_factory=list)
    workers: set[int] = field(default_factory=set)

    def finish(self, disturbed: Job) -> None:
        """Let the same command bring a training to its end, and compare."""
        workers, devices = disturbed.config["data"]["batching"]["workers"], disturbed.config["trainer"]["devices"]
        ended = self.zygote.run(disturbed)
        assert set(ended.statuses) == {0}, ended.log
        assert state_of(disturbed.folder).state is State.finished
        found = differences(disturbed.folder, self.undisturbed(workers, devices)[0].folder)
        self.different += [found] * bool(found)
        self.workers.add(workers)
        self.runs += 1

    def enter(self, scenario: str, devices: int = 1) -> None:
        """Into the table; every training must have been the undisturbed one."""
        workers = ", ".join(map(str, sorted(self.workers)))
        identical = self.runs - len(self.different)
        figures.add(scenario, workers, devices, self.disturbed, self.runs, identical)
        assert self.runs > 0 and self.different == []


@pytest.fixture
def tally(zygote: Zygote, undisturbed: Undisturbed) -> Tally:
    return Tally(zygote, undisturbed)


def test_the_committed_figures_hold_what_is_promised() -> None:
    """Each point 5 times, 50 SIGKILLs and 20 SIGTERMs at random moments, 20 with two devices; all were identical."""
    rows = figures.read(Path(__file__).parents[2] / "benchmarks" / "faults.md")
    for scenario, row in rows.items():
        assert row.identical == row.runs > 0, scenario
    for point in [*POINTS, *LATE_POINTS]:
        assert rows[f"`{point}`"].disturbed >= CRASHES, point
    at_random = {
        scenario: row for scenario, row in rows.items() if "random moments" in scenario or "one rank" in scenario
    }
    on_one = {scenario: row.disturbed for scenario, row in at_random.items() if row.devices == 1}
    assert sum(times for scenario, times in on_one.items() if scenario.startswith("SIGKILL")) >= 50
    assert sum(times for scenario, times in on_one.items() if scenario.startswith("SIGTERM")) >= 20
    assert sum(row.disturbed for row in at_random.values() if row.devices == 2) >= 20


@pytest.mark.slow
def test_the_undisturbed_run_comes_to_every_point(undisturbed: Undisturbed) -> None:
    made, ended = undisturbed()
    assert set(ended.hits) == {*POINTS, *LATE_POINTS}
    assert read_record(made.folder).timings["updates"] == LAST_UPDATE
    assert differences(undisturbed(workers=1)[0].folder, made.folder) == []


@pytest.mark.slow
def test_a_run_that_crashes_wherever_it_writes_has_the_same_bits(tally: Tally, tmp_path: Path) -> None:
    """The sample of `make test`: one run that dies eight times."""
    places = ["history during:9", "checkpoint during:700", "validation batch:1", "checkpoint written:2"]
    places += ["index written:3", "checkpoint removal:1", "scoring batch:1", "record during:2"]
    disturbed = job(tmp_path)
    for place in places:
        assert tally.zygote.run(disturbed, crash_at=place).statuses == [-signal.SIGKILL], place
    tally.finish(disturbed)
    assert tally.different == []


@pytest.fixture(scope="module")
def trained(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that died when its training had ended."""
    folder = tmp_path_factory.mktemp("trained")
    assert zygote.run(job(folder), crash_at="training end:1").statuses == [-signal.SIGKILL]
    return folder


@pytest.mark.very_slow
@pytest.mark.parametrize("point", [*POINTS, *LATE_POINTS])
def test_a_run_that_crashes_again_and_again_at_a_point_has_the_same_bits(
    point: str, tally: Tally, undisturbed: Undisturbed, trained: Path, tmp_path: Path
) -> None:
    """Without and with a loader worker by turns, where they still matter."""
    total, draw = undisturbed()[1].hits[point], random.Random(point)
    while tally.disturbed < CRASHES:
        runs, is_late = tmp_path / str(tally.runs), point in LATE_POINTS
        if is_late:
            shutil.copytree(trained, runs)
        disturbed = job(runs, workers=0 if is_late else tally.runs % 2)
        for hit in hits(total, draw)[: CRASHES - tally.disturbed]:
            ended = tally.zygote.run(disturbed, crash_at=f"{point}:{hit}")
            if ended.statuses == [0]:  # fewer hits were left than that
                break
            assert ended.statuses == [-signal.SIGKILL], ended.log
            tally.disturbed += 1
        tally.finish(disturbed)
    tally.enter(f"`{point}`")


def hits(total: int, draw: random.Random) -> list[int]:
    """At which of the hits of a point its processes die, one after the other in one training."""
    if total < IN_A_ROW:
        return [1 + place % total for place in range(IN_A_ROW)]
    return draw.sample(range(1, max(IN_A_ROW, total // IN_A_ROW) + 1), IN_A_ROW)


@pytest.fixture(scope="module")
def damaged(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache in which the ids of the run have a flipped bit."""
    cache = tmp_path_factory.mktemp("damaged")
    made = job(tmp_path_factory.mktemp("filling"), cache=cache)
    assert zygote.run(made, crash_at="training begin:1").statuses == [-signal.SIGKILL]
    (ids,) = cache.glob("*/target_ids.bin")
    content = bytearray(ids.read_bytes())
    content[len(content) // 2] ^= 1
    ids.write_bytes(content)
    return cache


@pytest.mark.very_slow
@pytest.mark.parametrize("point", CACHE_POINTS)
def test_a_run_that_crashes_while_it_fills_the_cache_has_the_same_bits(
    point: str, tally: Tally, damaged: Path, tmp_path: Path
) -> None:
    """While it fills an empty one and while it mends a damaged one, by turns."""
    cache = tmp_path / "cache"
    disturbed = job(tmp_path / "runs", cache=cache)
    while tally.disturbed < CRASHES:
        shutil.rmtree(cache, ignore_errors=True)
        if tally.disturbed % 2:
            shutil.copytree(damaged, cache)
        ended = tally.zygote.run(disturbed, crash_at=f"{point}:1")
        assert ended.statuses == [-signal.SIGKILL], ended.log
        tally.disturbed += 1
    tally.finish(disturbed)
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1  # what the kills left behind is gone
    tally.enter(f"`{point}` (the cache of ids)")


def disturb_at_random(tally: Tally, tmp_path: Path, number: signal.Signals, wanted: int, **how: int) -> None:
    """Send a signal at a random moment, again and again, until so many have hit."""
    draw = random.Random(f"{number.name} {how}")
    seconds = tally.undisturbed(**how)[1].seconds
    status = -number if number is signal.SIGKILL else 128 + number
    while tally.disturbed < wanted:
        disturbed = job(tmp_path / f"{number.name}-{tally.runs}", **how)
        is_whole = True
        while tally.disturbed < wanted:
            ended = tally.zygote.run(disturbed, signal=int(number), after=draw.uniform(0.0, 1.1 * seconds))
            if set(ended.statuses) == {0}:
                seconds = ended.seconds if is_whole else seconds  # machines are not equally busy all the time
                break
            assert set(ended.statuses) == {status}, ended.log
            if number is signal.SIGTERM:
                assert state_of(disturbed.folder).state in (State.interrupted, State.missing)
                assert "the same command continues" in ended.log
            tally.disturbed += 1
            is_whole = False
        tally.finish(disturbed)


@pytest.mark.very_slow
@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("number", "wanted", "ending"), [(signal.SIGKILL, 25, ""), (signal.SIGTERM, 10, ": status 143")]
)
def test_a_run_that_is_ended_at_random_moments_has_the_same_bits(
    number: signal.Signals, wanted: int, ending: str, workers: int, tally: Tally, tmp_path: Path
) -> None:
    disturb_at_random(tally, tmp_path, number, wanted, workers=workers)
    tally.enter(f"{number.name} at random moments, {workers} workers{ending}")


@pytest.mark.very_slow
@pytest.mark.parametrize(("number", "wanted"), [(signal.SIGKILL, 8), (signal.SIGTERM, 6)])
def test_two_devices_that_are_ended_at_random_moments_have_the_same_bits(
    number: signal.Signals, wanted: int, tally: Tally, tmp_path: Path
) -> None:
    disturb_at_random(tally, tmp_path, number, wanted, devices=2)
    tally.enter(f"{number.name} of both ranks at random moments", devices=2)


@pytest.mark.very_slow
def test_when_one_of_two_ranks_is_killed_the_other_ends_and_the_run_has_the_same_bits(
    tally: Tally, tmp_path: Path
) -> None:
    draw, seconds = random.Random(3), tally.undisturbed(devices=2)[1].seconds
    while tally.disturbed < 6:
        disturbed = job(tmp_path / str(tally.runs), devices=2)
        while tally.disturbed < 6:
            victim, moment = tally.disturbed % 2, draw.uniform(0.3 * seconds, seconds)
            ended = tally.zygote.run(disturbed, signal=int(signal.SIGKILL), after=moment, victims=[victim])
            if ended.statuses == [0, 0]:
                break
            assert ended.statuses[victim] == -signal.SIGKILL, ended.log
            tally.disturbed += 1
        tally.finish(disturbed)
    tally.enter("SIGKILL of one rank of two, the other ends by itself", devices=2)
