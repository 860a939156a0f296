"""`seq2seq-rerun RUN`: the job of a finished run again, from its record alone, and its scores beside the recorded ones.

RUN is the directory of a run or of a committed record, or its fingerprint, or how that begins. The run is left as it
is: the new one lies under another folder. Exit status 1 says that some score differs by more than the tolerance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from heapq import nlargest
from pathlib import Path
from typing import Any

from rich.table import Table

from seq2seq_lightning.commands.application import FAILED, MISTAKE
from seq2seq_lightning.commands.pipes import reader_may_leave
from seq2seq_lightning.commands.processes import is_done, run_attached, share_threads
from seq2seq_lightning.config import FAMILIES, Config
from seq2seq_lightning.decoding import DecodingConfig
from seq2seq_lightning.errors import ConfigurationError, UserError
from seq2seq_lightning.experiments.record import FILE_NAME, Record, read_record
from seq2seq_lightning.experiments.scores import Scores, read_all_scores
from seq2seq_lightning.job import Job
from seq2seq_lightning.plugins import needing
from seq2seq_lightning.reports.console import console
from seq2seq_lightning.structure import from_plain, to_plain


@dataclass(frozen=True)
class Line:
    """One score, as it was recorded and as it is now; None: the run again has no such score."""

    test_set: str
    decoding: str
    metric: str
    recorded: float
    now: float | None

    def differs(self, tolerance: float) -> bool:
        """By more than that? Two that are no numbers are alike."""
        if self.now is None:
            return True
        both_missing = self.recorded != self.recorded and self.now != self.now
        return not (both_missing or abs(self.now - self.recorded) <= tolerance)


def find(name: str, roots: Sequence[Path]) -> Path:
    """The directory of a run that is named by its path, or by its fingerprint or how that begins."""
    if (Path(name) / FILE_NAME).exists():
        return Path(name)
    found = {path.parent.name: path.parent for root in roots for path in sorted(root.glob(f"*/*/{FILE_NAME}"))}
    matching = [folder for fingerprint, folder in found.items() if name and fingerprint.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    places = " and ".join(map(str, roots))
    if matching:
        raise ConfigurationError(
            f"'{name}' begins the fingerprints of {len(matching)} runs under {places}: "
            f"{', '.join(str(each) for each in matching[:5])}. Give more digits, or the directory."
        )
    raise ConfigurationError(
        f"'{name}' is neither the directory of a run nor a run under {places}. {_like(name, list(found.values()))}"
    )


def _like(name: str, runs: Sequence[Path]) -> str:
    """The three runs, of however many, whose fingerprint or directory comes nearest to what was asked for."""
    if not runs:
        return "There is none: --root and --committed name other folders."
    word = name.strip("/").rpartition("/")[2]
    near = nlargest(3, runs, key=lambda run: max(SequenceMatcher(None, word, part).ratio() for part in run.parts[-2:]))
    return f"The nearest of {len(runs)}: {', '.join(map(str, near))}. `seq2seq-runs list` shows all."


def rebuilt(record: Record, scores: Sequence[Scores], into: Path) -> Job:
    """The job that a record tells of, in another folder: its training, and every decoding that was scored."""
    if record.status != "completed":
        raise ConfigurationError(f"the run is {record.status}; only a completed one has scores to compare with.")
    plain = {**record.config, "paths": {"runs": str(into)}, "fresh": False}
    plain["trainer"] = {**plain["trainer"], "threads": record.threads}  # sums of floats depend on them
    with needing({name: seen for name, seen in record.versions.items() if name != "python"}, record.fingerprint):
        config = Config.from_plain(plain)
    job = Job.of(config, record.overrides)
    further = [each for each in map(_decoding, scores) if each != job.config["decoding"]]
    distinct = [each for place, each in enumerate(further) if each not in further[:place]]
    return replace(job, also=distinct)


def compared(recorded: Sequence[Scores], now: Sequence[Scores]) -> Iterator[Line]:
    """Every recorded score beside the one of equal decoding, test set and metric."""
    there = [(each.test_set, _decoding(each), each) for each in now]
    for scores in recorded:
        wanted = scores.test_set, _decoding(scores)
        found = next((each for test_set, decoding, each in there if (test_set, decoding) == wanted), None)
        for metric, score in scores.scores.items():
            other = found.scores.get(metric) if found is not None else None
            seen = other.value if other is not None and other.signature == score.signature else None
            yield Line(scores.test_set, scores.decoding_name, metric, score.value, seen)


def circumstances(recorded: Record, now: Record) -> list[str]:
    """What is otherwise than it was, of all that may move a number."""
    before, after = _circumstances(recorded), _circumstances(now)
    keys = [key for key in dict.fromkeys([*before, *after]) if before.get(key) != after.get(key)]
    return [f"{key}: {before.get(key)} then, {after.get(key)} now" for key in keys]


def rerun(name: str, roots: Sequence[Path], into: Path, tolerance: float) -> int:
    """Run the job again, print what came of it; the exit status."""
    folder = find(name, roots)
    record = read_record(folder)
    recorded = [each for each in read_all_scores(folder).values() if "ensemble_with" not in each.checkpoint]
    job = share_threads(rebuilt(record, recorded, into))
    if not is_done(job):
        status = run_attached(job)
        if status != 0:
            return status
    lines = list(compared(recorded, list(read_all_scores(job.folder).values())))
    _show(lines, tolerance)
    for each in circumstances(record, read_record(job.folder)):
        print(f"  {each}")
    different = sum(line.differs(tolerance) for line in lines)
    print(f"{len(lines)} scores of {folder}: " + (f"{different} differ" if different else "all are as recorded"))
    return FAILED if different else 0


def _show(lines: Sequence[Line], tolerance: float) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("test set", "decoding", "score", "recorded", "now", ""):
        table.add_column(column, justify="right" if column in ("recorded", "now") else "left")
    for line in lines:
        now = "–" if line.now is None else f"{line.now:.10g}"
        told = "differs" if line.differs(tolerance) else "as recorded"
        table.add_row(line.test_set, line.decoding, line.metric, f"{line.recorded:.10g}", now, told)
    console().print(table)


def _decoding(scores: Scores) -> dict[str, Any]:
    """The settings in full, with what was added to them since."""
    plain: dict[str, Any] = to_plain(from_plain(DecodingConfig, scores.decoding, FAMILIES))
    return plain


def _circumstances(record: Record) -> dict[str, Any]:
    commit = None if record.commit is None else record.commit[:10] + ("+" if record.dirty else "")
    told = {"fingerprint": record.fingerprint, "training version": record.training_version, "commit": commit}
    told |= {"threads": record.threads, "mechanism": record.mechanism}
    told |= {key: record.hardware.get(key) for key in ("cpu", "gpu")}
    return told | {f"data {key}": value for key, value in record.data.items() if key != "sizes"} | record.versions


def main() -> None:
    """The entry point of the console command."""
    parser = argparse.ArgumentParser(prog="seq2seq-rerun", description=__doc__)
    parser.add_argument("run", help="a directory, or a fingerprint, or how it begins")
    parser.add_argument("--root", type=Path, default=Path("runs"), help="the folder of runs (default: runs)")
    parser.add_argument(
        "--committed", type=Path, default=Path("results"), help="and of committed records (default: results)"
    )
    parser.add_argument("--into", type=Path, default=Path("reruns"), help="where the run again lies (default: reruns)")
    parser.add_argument("--tolerance", type=float, default=0.0, help="how far a score may lie off (default: 0)")
    arguments = parser.parse_args()
    try:
        with reader_may_leave():
            roots = [arguments.root, arguments.committed]
            sys.exit(rerun(arguments.run, roots, arguments.into, arguments.tolerance))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(MISTAKE)


if __name__ == "__main__":
    main()
