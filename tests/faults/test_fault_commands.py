"""The commands themselves under fire: killed where it hurts, terminated, and with a rank that dies."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

from seq2seq_lightning import crash_points
from seq2seq_lightning.config import Config
from seq2seq_lightning.experiments.ledger import State, state_of
from seq2seq_lightning.experiments.record import read_record
from seq2seq_lightning.job import Job
from seq2seq_lightning.run import run
from tests.bits import assert_same_run
from tests.faults import figures
from tests.terminal import SMALL, below, finish, only_run, seq2seq, start, updates_logged, wait_for

pytestmark = [pytest.mark.very_slow, pytest.mark.timeout(3600)]

SETTINGS = [
    *SMALL,
    "model.encoder.dropout.embedding=0.3",
    "teacher_forcing.ratio=0.5",
    "optimizer.ema=0.9",
    "trainer.accumulate=2",
    "trainer.max_steps=40",
    "validation.every=20",
    "checkpoint.every=10",
    "checkpoint.after_scoring=keep_all",
]


def again(run_dir: Path, runs: Path) -> Path:
    """The same configuration, undisturbed, in this process."""
    job = Job.of(Config.from_plain({**read_record(run_dir).config, "paths": {"runs": str(runs)}}), [])
    run(job)
    return job.folder


def test_a_command_that_crashes_at_named_points_is_continued_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = ["job during:1", "checkpoint during:700", "history during:12", "scores written:1"]
    for place in places:
        with monkeypatch.context() as patch:
            patch.setenv(crash_points.VARIABLE, place)
            assert finish(start("train", SETTINGS, tmp_path)).status == -signal.SIGKILL, place
    seq2seq("train", *SETTINGS, folder=tmp_path)
    assert_same_run(only_run(tmp_path), again(only_run(tmp_path), tmp_path / "alone"))
    figures.add("`seq2seq-train` at four crash points", "0", 1, len(places), 1, 1)


TWO_DEVICES = [*SETTINGS, "trainer.devices=2", "trainer.max_steps=200"]


@pytest.fixture(scope="module")
def by_two_devices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two devices that nobody disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    seq2seq("train", *TWO_DEVICES, folder=folder)
    return only_run(folder)


@pytest.mark.parametrize("victim", [0, 1])
def test_a_rank_that_dies_ends_the_command_with_a_record_that_names_it(
    victim: int, by_two_devices: Path, tmp_path: Path
) -> None:
    process = start("train", TWO_DEVICES, tmp_path)
    wait_for(process, lambda: updates_logged(tmp_path) >= 15)
    os.kill(rank_of(process.pid, victim), signal.SIGKILL)
    ended = finish(process)
    assert ended.status == 1, ended
    assert re.search(rf"rank {victim} on \S+ was killed by SIGKILL", ended.err), ended.err
    found = state_of(only_run(tmp_path))
    assert found.state is State.failed
    assert re.match(rf"rank {victim} on \S+ was killed by SIGKILL", found.problem or "")
    seq2seq("train", *TWO_DEVICES, folder=tmp_path)
    assert_same_run(only_run(tmp_path), by_two_devices)
    figures.add(f"SIGKILL of rank {victim} of two under torchrun: failed, named in the record", "0", 2, 1, 1, 1)


def rank_of(command: int, rank: int) -> int:
    """The process of a rank below a command."""
    for pid in below(command):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        if f"RANK={rank}".encode() in environment and b"seq2seq_lightning.worker" in words:
            return pid
    raise AssertionError(f"rank {rank} was not found below {command}")
