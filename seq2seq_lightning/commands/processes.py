"""From a composed configuration to a finished run in a process tree of its own."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from seq2seq_lightning.commands.application import MISTAKE, JobFailed, plain
from seq2seq_lightning.commands.claims import claiming
from seq2seq_lightning.commands.company import accompanied, take_seeds
from seq2seq_lightning.commands.grids import take_further
from seq2seq_lightning.commands.lost_ranks import lost_rank, record_lost_rank, was_stopped
from seq2seq_lightning.commands.orphans import ending_with_sweep
from seq2seq_lightning.config import Config
from seq2seq_lightning.errors import DataError
from seq2seq_lightning.experiments.files import write_text_durably
from seq2seq_lightning.experiments.ledger import State, state_of
from seq2seq_lightning.experiments.record import read_record
from seq2seq_lightning.job import Job

LOG = "log.txt"
RANK_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT")

# glibc gives each large tensor fresh pages and takes them back when it is freed, at a tenth of the speed of memory;
# kept in the process they make a training step 5 % shorter. Other C libraries do not know these names.
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
    "MALLOC_TOP_PAD_": str(2**26),
}


# -- one job -----------------------------------------------------------------------------------------------------------


def training_job(values: dict[str, Any], overrides: Sequence[str]) -> Job:
    """The job of a training configuration. Raises ConfigurationError or DataError before anything is run."""
    also, own = take_further(values, take_seeds(values, overrides)[1])
    return replace(Job.of(Config.from_plain(values), own), also=also)


def is_done(job: Job) -> bool:
    """Whether training and every decoding this job asks for have been finished before."""
    if (job.train and job.config["fresh"]) or state_of(job.folder).state is not State.finished:
        return False
    if not all(is_done(other) for other in job.others()):
        return False
    names = job.test_sets or [*_test_set_names(job)]
    return all(job.is_scored(decoding, name) for decoding in job.decodings() for name in names)


def _test_set_names(job: Job) -> list[str]:
    sizes = read_record(job.folder).data["sizes"]
    names = [name.removeprefix("test.") for name in sizes if name.startswith("test.")]
    return [*names, "train"] if job.config["data"]["train_sample"] else names


def run_in_place(job: Job) -> None:
    """Become the worker: one process, the terminal and the signals are its own. Does not return."""
    command = [sys.executable, "-m", "seq2seq_lightning.worker", str(job.write())]
    sys.stdout.flush()
    os.execve(sys.executable, command, _environment(job))


def run_attached(job: Job) -> int:
    """Run the job in a process tree of its own on this terminal, and wait; returns its exit status."""
    sys.stdout.flush()
    return _wait(subprocess.Popen(_command(job), env=_environment(job)))


def run_if_missing(job: Job) -> None:
    """Run the job in a process tree of its own, unless it has been finished before. JobElsewhere: another command is
    at it."""
    with ending_with_sweep(), claiming(job) as inherited:
        if is_done(job):
            _tell_ending(job, State.finished)
        else:
            run_in_own_tree(job, inherited)


def run_in_own_tree(job: Job, inherited: tuple[int, ...] = ()) -> None:
    """Run the job in a process tree of its own, its output in `log.txt`, and wait; JobFailed unless it ended well.

    inherited: descriptors that stay open in the worker.
    """
    state = State.failed
    try:
        _run_in_own_tree(job, inherited)
        state = State.finished
    except JobFailed as failure:
        state = State.interrupted if failure.status in (130, 143) else State.failed
        raise
    except KeyboardInterrupt:
        state = State.interrupted
        raise
    finally:
        _tell_ending(job, state)


def _tell_ending(job: Job, state: State) -> None:
    """For whoever shows how far a sweep is: a run directory alone does not tell that a decoding failed."""
    with suppress(DataError):  # a full disk is told by the job itself
        write_text_durably(job.ending, state.value)


def _run_in_own_tree(job: Job, inherited: tuple[int, ...]) -> None:
    command = _command(job)
    with (job.folder / LOG).open("ab") as output:
        before = output.tell()
        environment = _environment(job)
        status = _wait(
            subprocess.Popen(
                command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment, pass_fds=inherited
            )
        )
    if status != 0:
        log = (job.folder / LOG).read_bytes()[before:].decode(errors="replace")
        status = 143 if was_stopped(log) else status
        lost = lost_rank(log) if status not in (130, 143) else None
        if lost is not None:
            record_lost_rank(job.folder, lost)
        raise _failure(job, status, log, lost)


def world_size(job: Job) -> int:
    """The processes of a job, on all its machines."""
    return job.config["trainer"]["devices"] * job.config["trainer"]["nodes"]


def _command(job: Job) -> list[str]:
    return [sys.executable, *_torchrun(job), "-m", "seq2seq_lightning.worker", str(job.write())]


def _torchrun(job: Job) -> list[str]:
    """What starts the processes of this machine; on several machines each one's command meets the others' first."""
    trainer = job.config["trainer"]
    if world_size(job) == 1:
        return []
    program = ["-m", "torch.distributed.run", f"--nproc-per-node={trainer['devices']}"]
    if trainer["nodes"] == 1:
        return [*program, "--standalone"]
    meeting = ["--rdzv-backend=c10d", f"--rdzv-endpoint={trainer['rendezvous']}", f"--rdzv-id={job.fingerprint}"]
    return [*program, f"--nnodes={trainer['nodes']}", *meeting]


def _wait(process: subprocess.Popen) -> int:
    """Wait for the child and return its exit status; SIGTERM to us is passed on to it, and is then the status: 143."""
    received: list[int] = []

    def forward(number: int, frame: object) -> None:
        received.append(number)
        process.send_signal(number)

    main_thread = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, forward) if main_thread else None
    try:
        status = process.wait()
        return 128 + received[0] if received else status
    except KeyboardInterrupt:
        process.wait()
        raise
    finally:
        if process.poll() is None:
            process.terminate()
        if main_thread:
            signal.signal(signal.SIGTERM, before)


def _failure(job: Job, status: int, log: str, lost: str | None = None) -> JobFailed:
    """What the log and the record say about a job that did not end well; torchrun hides the status of its workers."""
    refusals = [line.removeprefix("error: ") for line in log.splitlines() if line.startswith("error: ")]
    status = MISTAKE if refusals else status
    what = {MISTAKE: "was refused", 130: "was stopped from the keyboard", 143: "was stopped"}.get(status, "failed")
    raised = re.findall(r"^[\w.]+(?:Error|Exception): \S.*", log, re.MULTILINE)
    told = [*refusals[-1:], lost, *raised[-1:], state_of(job.folder).problem, *log.strip().splitlines()[-1:]]
    reason = next((each for each in told if each), f"exit status {status}")
    name = " ".join(job.overrides) or job.folder.name
    return JobFailed(f"{name} {what}: {reason} (log: {os.path.relpath(job.folder / LOG)})", status)


def _environment(job: Job) -> dict[str, str]:
    """The parent's, without a rank of its own, with the threads this job may use; it keeps the memory it has freed."""
    environment = KEEP_MEMORY | {key: value for key, value in os.environ.items() if key not in RANK_VARIABLES}
    environment["PYTHONUNBUFFERED"] = "1"
    threads = job.config["trainer"]["threads"]
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    return environment


# -- threads -----------------------------------------------------------------------------------------------------------


def share_threads(job: Job) -> Job:
    """Give the job its share of the cores: jobs that the launcher runs at once, and its own ranks, divide them.

    OMP_NUM_THREADS, where the user has set it, is taken as the number for each process.
    """
    trainer = job.config["trainer"]
    if trainer["threads"] is not None:
        return job
    cores = core_count()
    side_by_side = jobs_at_once(HydraConfig.get().launcher, cores) if HydraConfig.initialized() else 1
    share = max(1, cores // (side_by_side * trainer["devices"]))
    wished = os.environ.get("OMP_NUM_THREADS", "")
    threads = int(wished) if wished.isdigit() and int(wished) > 0 else share
    return replace(job, config={**job.config, "trainer": {**trainer, "threads": threads}})


def core_count() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def jobs_at_once(launcher: Mapping[str, Any], cores: int) -> int:
    """How many jobs the launcher runs together on this machine.

    joblib as many as `n_jobs`, Ray and submitit's local one as many as the processors they count give; Slurm gives each
    job processors of its own, and `basic` runs one by one.
    """
    if "ray" in launcher:
        ray = launcher["ray"]
        return max(1, int((ray["init"].get("num_cpus") or cores) // (ray["remote"].get("num_cpus") or 1)))
    if str(launcher.get("_target_")).endswith(".LocalLauncher"):
        return max(1, cores // (launcher.get("cpus_per_task") or 1))
    count = launcher.get("n_jobs")
    return 1 if count is None else count if count > 0 else max(1, cores + 1 + count)


# -- tasks, as Hydra's launchers call them -----------------------------------------------------------------------------


def train_task(composed: DictConfig) -> float | None:
    """Train and score one job of a sweep in its own process tree; returns the monitored validation score, if any."""
    job = _in_group(share_threads(training_job(plain(composed), HydraConfig.get().overrides.task)))
    job = accompanied(job, take_seeds(plain(composed), [])[0])
    run_if_missing(job)
    return objective(job)


def _in_group(job: Job) -> Job:
    """Trackers show the runs of a sweep together, under the name of the sweep, unless another group was given."""
    if job.config["group"] is not None:
        return job
    return replace(job, config={**job.config, "group": job.config["name"]})


def objective(job: Job) -> float | None:
    """What sweepers that propose values minimise or maximise: the best monitored score; None without validation."""
    return read_record(job.folder).timings.get("best_score")
