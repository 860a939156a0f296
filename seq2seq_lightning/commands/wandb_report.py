"""`seq2seq-wandb-report FOLDER ENTITY/PROJECT`: an ablation's tables and curves as a report of Weights & Biases."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from seq2seq_lightning.errors import ConfigurationError, DataError, UserError
from seq2seq_lightning.experiments.ablation import expand
from seq2seq_lightning.experiments.ablation_config import AblationConfig
from seq2seq_lightning.experiments.files import read_json
from seq2seq_lightning.experiments.ledger import collect, read_trials
from seq2seq_lightning.reports.workspace import build_workspace_report
from seq2seq_lightning.structure import from_plain


def build(folder: Path, roots: list[Path], place: str) -> Any:
    """The report of the ablation in a folder, for `entity/project`."""
    entity, slash, project = place.partition("/")
    if not (entity and slash and project) or "/" in project:
        raise ConfigurationError(f"'{place}' names no project. Give ENTITY/PROJECT, such as my-team/seq2seq_lightning.")
    config = from_plain(AblationConfig, read_json(folder / "ablation.json"), {})
    return build_workspace_report(folder, config, collect(expand(config), read_trials(folder), roots), entity, project)


def main() -> None:
    """The entry point of the console command."""
    parser = argparse.ArgumentParser(prog="seq2seq-wandb-report", description=__doc__)
    parser.add_argument("folder", type=Path, help="runs/<ablation> or results/<ablation>")
    parser.add_argument("place", metavar="ENTITY/PROJECT", help="where the tracked runs are")
    parser.add_argument("--committed", type=Path, default=Path("results"), help="records that count too")
    parser.add_argument("--draft", action="store_true", help="save it as a draft")
    arguments = parser.parse_args()
    try:
        report = build(arguments.folder, [arguments.folder.parent, arguments.committed], arguments.place)
        print(f"saved: {_save(report, arguments.draft)}")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _save(report: Any, draft: bool) -> str:
    """Send it; whatever the server or the key is not good for ends in one message."""
    try:
        report.save(draft=draft)
    except Exception as error:
        raise DataError(
            f"Weights & Biases did not take the report: {error}. Is there a key (`wandb login`)?"
        ) from error
    return str(report.url)


if __name__ == "__main__":
    main()
