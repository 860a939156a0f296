"""An ablation as a report of Weights & Biases: verdict and tables as text, curves of the tracked runs beside them.

Built here without a server, by `wandb-workspaces` (the extra `wandb-report`); saving it is what needs one.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.ablation_config import AblationConfig
from seq2seq_lightning.experiments.ledger import TrialResult
from seq2seq_lightning.reports.figures.evidence import read_evidence
from seq2seq_lightning.reports.figures.learning import learning_keys
from seq2seq_lightning.reports.formats import markdown
from seq2seq_lightning.reports.tables import page

try:
    with warnings.catch_warnings():  # of the library's own use of pydantic
        warnings.simplefilter("ignore", DeprecationWarning)
        import wandb_workspaces.reports.v2 as installed
    workspaces: Any = installed
except ModuleNotFoundError:
    workspaces = None

LONGEST_TITLE = 128  # letters; W&B takes no more
PER_ROW = 3  # panels; a row of the grid is 24 units wide
STEP = "trainer/global_step"


def build_workspace_report(
    folder: Path, config: AblationConfig, results: Sequence[TrialResult], entity: str, project: str
) -> Any:
    """The report object, not saved: tables as they stand now, and a panel for each curve that the runs logged."""
    if workspaces is None:
        raise ConfigurationError(
            "A report of Weights & Biases needs the extra: pip install 'seq2seq-lightning[wandb-report]'."
        )
    made = page(config, results)
    keys = learning_keys(read_evidence(config, results))
    runs = workspaces.Runset(entity=entity, project=project, name=config.name, filters=f"Group = {config.name!r}")
    grid = workspaces.PanelGrid(runsets=[runs], panels=[_panel(place, key) for place, key in enumerate(keys)])
    curves: list[Any] = [workspaces.H2(text="Curves"), grid] if keys else []
    text = workspaces.MarkdownBlock(text=markdown(made, folder))
    return workspaces.Report(
        entity=entity,
        project=project,
        title=made.title[:LONGEST_TITLE],
        description=made.verdict or "",
        width="fluid",
        blocks=[text, *curves],
    )


def _panel(place: int, key: str) -> Any:
    width = 24 // PER_ROW
    layout = workspaces.Layout(x=place % PER_ROW * width, y=place // PER_ROW * 6, w=width, h=6)
    return workspaces.LinePlot(title=key, x=STEP, y=[key], layout=layout)
