"""`seq2seq-report FOLDER`: the tables and the page of an ablation again, from its records alone; without torch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from seq2seq_lightning.commands.pipes import reader_may_leave
from seq2seq_lightning.errors import UserError
from seq2seq_lightning.experiments.ablation import expand
from seq2seq_lightning.experiments.ablation_config import AblationConfig
from seq2seq_lightning.experiments.files import read_json
from seq2seq_lightning.experiments.ledger import collect, read_trials
from seq2seq_lightning.reports.formats import show, write_table
from seq2seq_lightning.reports.html import write_report
from seq2seq_lightning.structure import from_plain


def report(folder: Path, roots: list[Path]) -> None:
    """Read `ablation.json` and `trials.json` in the folder, look the runs up under the roots, print and write."""
    config = from_plain(AblationConfig, read_json(folder / "ablation.json"), {})
    results = collect(expand(config), read_trials(folder), roots)
    made = write_table(folder, config, results)
    show(made)
    print(f"written: {write_report(folder, config, results, made)}")


def main() -> None:
    """The entry point of the console command."""
    parser = argparse.ArgumentParser(prog="seq2seq-report", description=__doc__)
    parser.add_argument("folder", type=Path, help="runs/<ablation> or results/<ablation>")
    parser.add_argument("--committed", type=Path, default=Path("results"), help="records that count too")
    arguments = parser.parse_args()
    try:
        with reader_may_leave():
            report(arguments.folder, [arguments.folder.parent, arguments.committed])
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
