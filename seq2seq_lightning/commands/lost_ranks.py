"""When one of several processes is lost: which one it was, and a record that says so.

torchrun ends the other processes and tells the first failures in its output; the first process, which writes the
record, may have been the one that died, or have seen no more than a closed connection.
"""

from __future__ import annotations

import re
import signal
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from seq2seq_lightning.errors import UserError
from seq2seq_lightning.experiments.files import lock
from seq2seq_lightning.experiments.ledger import lock_path
from seq2seq_lightning.experiments.record import read_record, write_record

_FAILURE = re.compile(
    r"^\s*host\s*: (?P<host>.*)\n\s*rank\s*: (?P<rank>\d+) .*\n\s*exitcode\s*: (?P<status>-?\d+) \(pid: (?P<pid>\d+)",
    re.MULTILINE,
)
_FORCED = re.compile(r"Unable to shutdown process (\d+) via")  # which torchrun kills itself, after others have failed
_RAISED = re.compile(r"^(?:\[rank\d+\]: ?)?([\w.]+(?:Error|Exception): \S.*)", re.MULTILINE)
_CLOSED = re.compile(r"Connection (closed|reset) by peer|Broken pipe|ChildFailedError|Timed out waiting")
_ENDED_BY_US = (2, 130, 143, -signal.SIGTERM)


def lost_rank(log: str) -> str | None:
    """Which process was lost first and how, as torchrun's report in the log tells; None where it tells nothing.

    A killed one comes before one that raised: what the others raise when a process is gone is not its cause.
    """
    forced = _FORCED.findall(log)
    failures = [each for each in _FAILURE.finditer(log) if each["pid"] not in forced]
    found = [(each["rank"], each["host"].strip(), int(each["status"])) for each in failures]
    found.reverse()  # the first failure is reported last
    causes = [each for each in found if each[2] not in _ENDED_BY_US]
    killed = [each for each in causes if each[2] < 0]
    raised = [line for line in _RAISED.findall(log) if not _CLOSED.search(line)]
    if killed:
        rank, host, status = killed[0]
        return f"rank {rank} on {host} was killed by {signal.Signals(-status).name}"
    if causes and raised:
        return f"rank {causes[0][0]} on {causes[0][1]} failed: {raised[0]}"
    return None


def was_stopped(log: str) -> bool:
    """Whether all processes that torchrun reports left as they do after SIGTERM, which another machine was sent."""
    statuses = {int(each["status"]) for each in _FAILURE.finditer(log)}
    return bool(statuses) and statuses <= {143, -signal.SIGTERM}


def record_lost_rank(run_dir: Path, lost: str) -> None:
    """Let an unfinished run's record say failed, and which process was lost, before what the first one made of it."""
    with suppress(UserError), lock(lock_path(run_dir), blocking=False):  # held: the next process is at work already
        record = read_record(run_dir)
        if record.status != "completed" and lost not in (record.error or ""):
            seen = f"; the first rank then saw: {record.error}" if record.error else ""
            now = datetime.now(UTC).isoformat(timespec="seconds")
            write_record(run_dir, replace(record, status="failed", error=f"{lost}{seen}", finished=now))
