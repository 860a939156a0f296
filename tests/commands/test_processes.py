"""What a job that did not end well is told as, and how cores are divided."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from seq2seq_lightning.commands import processes
from seq2seq_lightning.commands.lost_ranks import lost_rank, record_lost_rank, was_stopped
from seq2seq_lightning.commands.processes import (
    KEEP_MEMORY,
    RANK_VARIABLES,
    _command,
    _environment,
    _failure,
    _in_group,
    jobs_at_once,
    share_threads,
)
from seq2seq_lightning.config import Config, PathsConfig
from seq2seq_lightning.experiments.ledger import lock_path
from seq2seq_lightning.experiments.record import Record, read_record, write_record
from seq2seq_lightning.job import Job
from seq2seq_lightning.training.settings import TrainerConfig

TRACEBACK = """Traceback (most recent call last):
  File "worker.py", line 58, in <module>
KeyError: 'inner'

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
some.package.MisconfigurationException: `algorithm` foo is invalid
"""
TORCHRUN = """W1120 torch/distributed/elastic: Sending process 7 closing signal SIGTERM
torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n============\nseq2seq_lightning.worker FAILED
------------
Root Cause (first observed failure):
============
"""


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job.of(Config(paths=PathsConfig(str(tmp_path))), ["seed=1", "name=x"])


def record(job: Job, status: str, error: str) -> None:
    write_record(job.folder, Record(status, "run", job.fingerprint, 1, job.config, 1, error=error))


@pytest.mark.parametrize(
    ("status", "log", "words"),
    [
        (2, "some words\nerror: en has 2 lines\n", "was refused: en has 2 lines (log: "),
        (1, f"error: en has 2 lines\n{TORCHRUN}", "was refused: en has 2 lines (log: "),
        (1, TRACEBACK, "failed: some.package.MisconfigurationException: `algorithm` foo is invalid (log: "),
        (1, TRACEBACK + TORCHRUN, "failed: some.package.MisconfigurationException: `algorithm` foo is invalid (log: "),
        (-9, "", "failed: exit status -9 (log: "),
        (1, "Killed\n", "failed: Killed (log: "),
    ],
)
def test_the_reason_is_the_mistake_or_what_was_raised(status: int, log: str, words: str, job: Job) -> None:
    failure = _failure(job, status, log)
    assert str(failure).startswith(f"seed=1 name=x {words}")
    assert str(failure).endswith("log.txt)")


def test_the_record_knows_more_than_a_log_without_an_exception(job: Job) -> None:
    record(job, "interrupted", "stopped by SIGTERM after saving a checkpoint")
    assert "was stopped: stopped by SIGTERM after saving" in str(_failure(job, 143, "interrupted: …\n"))


def test_a_rank_that_raised_is_the_reason_for_one_that_was_stopped(job: Job) -> None:
    record(job, "interrupted", "stopped by SIGTERM after saving a checkpoint")
    assert "foo is invalid" in str(_failure(job, 1, TRACEBACK + TORCHRUN))


def test_a_worker_has_no_rank_of_its_parents_and_its_own_threads(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in RANK_VARIABLES:
        monkeypatch.setenv(name, "7")
    with_threads = replace(job, config=replace(Config(), trainer=TrainerConfig(threads=3)).to_plain())
    environment = _environment(with_threads)
    assert not set(RANK_VARIABLES) & environment.keys()
    assert environment["OMP_NUM_THREADS"] == "3"


def test_a_worker_keeps_freed_memory_unless_the_user_says_otherwise(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    assert KEEP_MEMORY.items() <= _environment(job).items()
    monkeypatch.setenv("MALLOC_TOP_PAD_", "4096")
    assert _environment(job)["MALLOC_TOP_PAD_"] == "4096"


@pytest.mark.parametrize(
    ("n_jobs", "devices", "threads"),
    [(None, 1, 8), (None, 2, 4), (2, 1, 4), (2, 2, 2), (-1, 1, 1), (-2, 1, 1), (40, 1, 1)],
)
def test_jobs_at_once_and_their_devices_share_the_cores(
    n_jobs: int | None, devices: int, threads: int, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    launcher = OmegaConf.create({"launcher": {"n_jobs": n_jobs} if n_jobs is not None else {}})
    monkeypatch.setattr(processes.HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(processes.HydraConfig, "get", lambda: launcher)
    config = replace(Config(), trainer=TrainerConfig(devices=devices)).to_plain()
    assert share_threads(replace(job, config=config)).config["trainer"]["threads"] == threads
    config["trainer"]["threads"] = 5
    assert share_threads(replace(job, config=config)).config["trainer"]["threads"] == 5


@pytest.mark.parametrize(
    ("launcher", "count"),
    [
        ({}, 1),
        ({"ray": {"init": {"address": None}, "remote": {}}}, 8),
        ({"ray": {"init": {"num_cpus": 6}, "remote": {"num_cpus": 2}}}, 3),
        ({"ray": {"init": {"num_cpus": 1}, "remote": {"num_cpus": 2}}}, 1),
        ({"_target_": "plugin.LocalLauncher", "cpus_per_task": 4}, 2),
        ({"_target_": "plugin.LocalLauncher", "cpus_per_task": None}, 8),
        ({"_target_": "plugin.SlurmLauncher", "cpus_per_task": 4}, 1),
    ],
)
def test_what_runs_at_once_is_what_the_launcher_starts_at_once(launcher: dict[str, object], count: int) -> None:
    assert jobs_at_once(launcher, cores=8) == count


def test_omp_num_threads_is_taken_as_the_threads_of_each_process(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    config = replace(Config(), trainer=TrainerConfig(devices=2)).to_plain()
    assert share_threads(replace(job, config=config)).config["trainer"]["threads"] == 3


def test_runs_of_a_sweep_are_tracked_together(job: Job) -> None:
    assert job.config["group"] is None
    assert _in_group(job).config["group"] == job.config["name"]
    given = replace(job, config={**job.config, "group": "mine"})
    assert _in_group(given) == given


REPORT = """
seq2seq_lightning.worker FAILED
------------------------------------------------------------
Failures:
[1]:
  time      : 2026-11-20_15:00:01
  host      : here
  rank      : {other} (local_rank: {other})
  exitcode  : {other_status} (pid: 12)
  error_file: <N/A>
  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  time      : 2026-11-20_15:00:00
  host      : here
  rank      : {rank} (local_rank: {rank})
  exitcode  : {status} (pid: 11)
  error_file: <N/A>
  traceback : Signal 9 (SIGKILL) received by PID 11
============================================================
"""
CLOSED = "RuntimeError: [gloo/transport/tcp/pair.cc:543] Connection closed by peer [127.0.0.1]:4160\n"


@pytest.mark.parametrize(
    ("ranks", "log", "words"),
    [
        ((1, -9, 0, 1), CLOSED, "rank 1 on here was killed by SIGKILL"),
        ((0, 1, 1, -9), CLOSED, "rank 1 on here was killed by SIGKILL"),  # seen second, but nobody raises that much
        ((0, -11, 1, 143), "", "rank 0 on here was killed by SIGSEGV"),
        ((1, 1, 0, 1), f"ValueError: bad\n{CLOSED}", "rank 1 on here failed: ValueError: bad"),
        (
            (0, 1, 1, -9),
            "AttributeError: no bits\nW1120 Unable to shutdown process 12 via 15, forcefully exiting via 9\n",
            "rank 0 on here failed: AttributeError: no bits",
        ),
        ((1, 143, 0, 143), "", None),
        ((0, 2, 1, 2), "error: en has 2 lines\n", None),
    ],
)
def test_a_lost_rank_is_named(ranks: tuple[int, int, int, int], log: str, words: str | None) -> None:
    rank, status, other, other_status = ranks
    report = REPORT.format(rank=rank, status=status, other=other, other_status=other_status)
    assert lost_rank(log + report) == words


@pytest.mark.parametrize(("statuses", "stopped"), [((143, 143), True), ((143, -15), True), ((143, 1), False)])
def test_a_stop_that_another_machine_was_sent_is_a_stop(statuses: tuple[int, int], stopped: bool) -> None:
    report = REPORT.format(rank=0, status=statuses[0], other=1, other_status=statuses[1])
    assert was_stopped(report) is stopped
    assert not was_stopped("")


def test_without_a_report_no_rank_is_lost() -> None:
    assert lost_rank(TRACEBACK) is None and lost_rank(TRACEBACK + TORCHRUN) is None


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_the_record_names_a_lost_rank_before_what_the_first_one_saw(status: str, job: Job) -> None:
    record(job, status, "RuntimeError: Connection closed by peer")
    record_lost_rank(job.folder, "rank 1 was killed by SIGKILL")
    record_lost_rank(job.folder, "rank 1 was killed by SIGKILL")
    found = read_record(job.folder)
    assert (found.status, found.error) == (
        "failed",
        "rank 1 was killed by SIGKILL; the first rank then saw: RuntimeError: Connection closed by peer",
    )


def test_a_record_that_is_complete_or_in_use_is_left_alone(job: Job) -> None:
    record_lost_rank(job.folder, "words")  # there is none
    record(job, "completed", "")
    record_lost_rank(job.folder, "words")
    assert read_record(job.folder).status == "completed"
    record(job, "running", "")
    holder = subprocess.Popen(
        ["flock", str(lock_path(job.folder)), "sh", "-c", "echo held; read line"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
    record_lost_rank(job.folder, "words")
    holder.communicate(b"\n")
    assert read_record(job.folder).status == "running"


def test_torchrun_is_told_where_machines_meet(tmp_path: Path) -> None:
    def words(**trainer: int | str) -> str:
        config = Config(paths=PathsConfig(str(tmp_path)), trainer=TrainerConfig(**trainer))  # type: ignore[arg-type]
        return " ".join(_command(Job.of(config, []))[1:-1])

    assert words() == "-m seq2seq_lightning.worker"
    assert words(devices=2).startswith("-m torch.distributed.run --nproc-per-node=2 --standalone -m")
    both = words(nodes=2, rendezvous="first:29500")
    assert both.startswith("-m torch.distributed.run --nproc-per-node=1 --nnodes=2 --rdzv-backend=c10d ")
    assert "--rdzv-endpoint=first:29500 --rdzv-id=" in both
