"""The report for Weights & Biases as an object: what it says, whose runs it shows; no server is asked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from seq2seq_lightning.commands import wandb_report
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.reports import workspace
from tests.reports.generated import ablation, write_runs


def test_the_report_has_the_tables_and_a_panel_for_each_curve(tmp_path: Path) -> None:
    pytest.importorskip("wandb_workspaces", reason="needs the extra wandb-report")
    config = ablation(rows=2, seeds=1)
    write_runs(tmp_path, config, updates=500, sentences=20)
    report = wandb_report.build(tmp_path / "made", [tmp_path], "somebody/things")
    assert (report.entity, report.project, report.title) == ("somebody", "things", config.title)
    text, _, grid = report.blocks
    assert "| attention |" in text.text and "**Verdict: " in text.text
    (runs,) = grid.runsets
    assert (runs.entity, runs.project, runs.name) == ("somebody", "things", "made")
    assert "Group" in str(runs.filters) and "made" in str(runs.filters)
    curves = ["train/loss", "val/loss", "val/free_running_loss", "val/exact_match"]
    assert [panel.title for panel in grid.panels] == curves
    assert {panel.x for panel in grid.panels} == {"trainer/global_step"}


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(workspace, "workspaces", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'seq2seq-lightning\[wandb-report\]'"):
        workspace.build_workspace_report(tmp_path, ablation(), [], "a", "b")


def test_a_place_that_is_no_project_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["seq2seq-wandb-report", "runs/made", "nowhere"])
    with pytest.raises(SystemExit) as ended:
        wandb_report.main()
    assert ended.value.code == 2
    assert "'nowhere' names no project. Give ENTITY/PROJECT" in capsys.readouterr().err
