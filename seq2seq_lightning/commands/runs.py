"""`seq2seq-runs list | show DIR | prune`: what is there, and what may go."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from seq2seq_lightning.commands.pipes import reader_may_leave
from seq2seq_lightning.errors import UserError
from seq2seq_lightning.experiments.ledger import RunState, State, all_runs, state_of
from seq2seq_lightning.experiments.record import read_record
from seq2seq_lightning.experiments.scores import read_all_scores
from seq2seq_lightning.reports.console import console
from seq2seq_lightning.training.checkpoint_index import best_checkpoint


def list_runs(root: Path) -> None:
    """One line per run: directory, state, when, overrides, first scores."""
    table = Table(box=None, pad_edge=False)
    for column in ("run", "state", "started", "overrides", "scores"):
        table.add_column(column, overflow="fold")
    for run in all_runs(root):
        record = run.record
        started, overrides = (record.started or "", " ".join(record.overrides)) if record else ("", "")
        table.add_row(str(run.run_dir), run.state.value, started, overrides, _scores(run))
    console().print(table)


def _scores(run: RunState) -> str:
    lines = []
    for scores in read_all_scores(run.run_dir).values():
        first = list(scores.scores.items())[:2]
        lines.append(f"{scores.test_set}: " + ", ".join(f"{name} {score.value:.4g}" for name, score in first))
    return "\n".join(lines)


def show_run(folder: Path) -> None:
    """The record and every score, as JSON."""
    scores = {name: asdict(each) for name, each in read_all_scores(folder).items()}
    print(json.dumps({"record": asdict(read_record(folder)), "decodings": scores}, indent=2, ensure_ascii=False))


def prune(root: Path, really: bool) -> None:
    """Remove the checkpoints of failed runs, and of finished ones but the best; lists them only, unless `--yes`."""
    for run in all_runs(root):
        if run.state in (State.failed, State.finished):
            for path in sorted((run.run_dir / "checkpoints").glob("*.ckpt")):
                if run.state is State.failed or not _is_kept(path):
                    print(("removed " if really else "would remove ") + str(path))
                    if really:
                        path.unlink()
    for folder in sorted(root.glob("*/*")):
        if folder.is_dir() and state_of(folder).state is State.missing and not any(folder.glob("checkpoints/*")):
            print(("removed " if really else "would remove ") + str(folder))
            if really:
                shutil.rmtree(folder)


def _is_kept(path: Path) -> bool:
    """Whether the run is decoded with this one."""
    return path == best_checkpoint(path.parent)


def main() -> None:
    """The entry point of the console command."""
    parser = argparse.ArgumentParser(prog="seq2seq-runs", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path("runs"), help="the folder of runs (default: runs)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("list", help=list_runs.__doc__)
    verbs.add_parser("show", help=show_run.__doc__).add_argument("run", type=Path)
    verbs.add_parser("prune", help=prune.__doc__).add_argument("--yes", action="store_true", help="really remove")
    arguments = parser.parse_args()
    try:
        with reader_may_leave():
            if arguments.verb == "list":
                list_runs(arguments.root)
            elif arguments.verb == "show":
                show_run(arguments.run)
            else:
                prune(arguments.root, arguments.yes)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
