"""What a sweep adds to its jobs: the time of many short jobs beyond their own, for two numbers of them.

    python benchmarks/sweep.py --trials 75 300 --seconds 2

Each job is a process that sleeps and leaves a finished record, started, claimed, waited for and looked up as a training
is. Reported per trial: wall time beyond the sleep and the start of that process (timed alone before), and the CPU time
of the sweep's own process, which other work on the machine hardly changes. An operation that looked at all other trials
would show as a growth with their number, and from the first fifty trials of a sweep to its last fifty; between their
starts only what a launched trial costs is counted, without the check of all jobs before the first.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory

from hydra.core.global_hydra import GlobalHydra

from seq2seq_lightning.commands import processes, train
from seq2seq_lightning.experiments.record import Record, write_record
from seq2seq_lightning.job import Job

FEW = 50  # trials of which the first and the last of a sweep are set beside each other


def main() -> None:
    """Run the sweeps and print what each trial cost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, nargs="+", default=[75, 300])
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each job sleeps")
    asked = parser.parse_args()
    for trials in asked.trials:
        print(json.dumps(measured(trials, asked.seconds)), flush=True)


def measured(trials: int, seconds: float) -> dict[str, float | int | str]:
    """One sweep, and the same command once more when all is finished."""
    with TemporaryDirectory(prefix="sweep-benchmark-") as folder:
        record = Path(folder) / "record"
        write_record(
            record, Record("completed", "bench", "0" * 12, 1, {}, 1, timings={"best_score": 1.0}, data={"sizes": {}})
        )
        starts: list[float] = []
        processes._command = lambda job: _sleeping(job, seconds, record / "record.json", starts)  # type: ignore[assignment]
        start = _time_to_start(record / "record.json")
        words = ["-m", "name=bench", f"paths.runs={folder}", f"seed=range({trials})"]
        wall, cpu = _run(words)
        again, _ = _run(words)
        found = len(list(Path(folder).glob("bench/*/record.json")))
    assert found == trials, f"{found} of {trials} trials are there"
    return {
        "trials": trials,
        "seconds_each": seconds,
        "start_seconds": round(start, 3),
        "wall_overhead_per_trial": round(wall / trials - seconds - start, 3),
        "overhead_of_the_first_50": round(_between(starts[: FEW + 1]) - seconds - start, 3),
        "overhead_of_the_last_50": round(_between(starts[-FEW - 1 :]) - seconds - start, 3),
        "cpu_per_trial": round(cpu / trials, 3),
        "finished_before_per_trial": round(again / trials, 3),
    }


def _sleeping(job: Job, seconds: float, record: Path, starts: list[float]) -> list[str]:
    starts.append(time.perf_counter())
    job.write()
    target = shlex.quote(str(job.folder / "record.json"))
    return ["/bin/sh", "-c", f"sleep {seconds}; cp {shlex.quote(str(record))} {target}"]


def _between(starts: list[float]) -> float:
    """The mean time from the start of one trial to that of the next."""
    return (starts[-1] - starts[0]) / max(1, len(starts) - 1)


def _time_to_start(record: Path) -> float:
    """What such a process takes beyond its sleep, when nothing else is done."""
    began = time.perf_counter()
    for _ in range(10):
        subprocess.run(["/bin/sh", "-c", f"sleep 0; cp {shlex.quote(str(record))} {shlex.quote(str(record))}.copy"])
    return (time.perf_counter() - began) / 10


def _run(words: list[str]) -> tuple[float, float]:
    """Wall and CPU seconds of one `seq2seq-train` in this process."""
    GlobalHydra.instance().clear()
    sys.argv = ["seq2seq-train", *words]
    wall, cpu = time.perf_counter(), time.process_time()
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        train.main()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
