"""One run in its own process tree: reads a job, runs it, leaves a record and an exit status. No Hydra here.

    python -m seq2seq_lightning.worker <run directory>/jobs/<job>.json

Exit status: 0 done, 1 failed, 2 a mistake in the job, 130 stopped from the keyboard, 143 stopped by SIGTERM.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from seq2seq_lightning.errors import UserError
from seq2seq_lightning.experiments.scores import describe
from seq2seq_lightning.job import Job
from seq2seq_lightning.replicas import run_together
from seq2seq_lightning.run import run
from seq2seq_lightning.scoring import quality_lines
from seq2seq_lightning.training.callbacks import Interrupted
from seq2seq_lightning.training.ranks import is_first_rank


def main(arguments: list[str] | None = None) -> int:
    """Run the job whose file is named; returns the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _terminate)
    job = Job.read(Path(arguments[0]))
    try:
        scores = run_together([job, *job.others()])[0] if job.together else run(job)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Interrupted as interruption:
        print(f"interrupted: {interruption}; the same command continues.", file=sys.stderr)
        return 128 + interruption.signal_number
    except KeyboardInterrupt:
        print("interrupted; the same command continues from the last checkpoint.", file=sys.stderr)
        return 130
    if is_first_rank() and job.config.get("debug") is None:
        print("\n".join([describe(job.folder, scores.values()), *quality_lines(job, scores)]))
    return 0


def _terminate(number: int, frame: object) -> None:
    """Before and after training, SIGTERM ends the run at once; the record says interrupted."""
    raise Interrupted(number)


if __name__ == "__main__":
    sys.exit(main())
