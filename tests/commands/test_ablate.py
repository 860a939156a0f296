"""`seq2seq-ablate` without training: every shipped file expands, and its trials are listed with how they stand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from seq2seq_lightning.commands import ablate, forecast, processes
from seq2seq_lightning.config_store import conf_dir

FILES = sorted((Path(conf_dir()) / "ablation").glob("*.yaml"))


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def start(*arguments: object, **options: object) -> None:
        raise AssertionError(f"started {arguments}")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(processes.subprocess, "Popen", start)
    monkeypatch.setattr(forecast, "run_in_own_tree", start)


def called(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["seq2seq-ablate", *arguments])
    try:
        ablate.main()
    except SystemExit as leaving:
        return int(leaving.code or 0)
    return 0


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_shipped_file_lists_its_trials(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])  # where weights lie that files name
    seed = yaml.safe_load(path.read_text("utf-8"))["seeds"][0]
    places = [f"paths.runs={tmp_path}", "committed=null", f"ablation.seeds=[{seed}]"]
    status = called(monkeypatch, f"ablation={path.stem}", "mode=dry_run", "profile=0", *places)
    printed = capsys.readouterr()
    assert status == 0, printed.err
    if "data.folder=" in printed.out:  # of data that are given by their folder
        *trials, count = printed.out.splitlines()
        assert all(line.startswith("    unknown  ") and f"seed {seed}" in line for line in trials)
        assert count.startswith(f"{len(trials)} trials; ")
        return
    *trials, count, _ = [line for line in printed.out.splitlines() if " h  x " not in line]
    assert all(line.startswith("    missing  ") and f"seed {seed}" in line for line in trials)
    assert count == f"{len(trials)} trials: {len(trials)} missing"
    assert printed.out.splitlines()[-1].startswith("forecast: 0.00 h for ")


def test_some_rows_are_run_and_all_are_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = ["ablation=scan_primitives", "ablation.seeds=[1]", f"paths.runs={tmp_path}", "committed=null"]
    started: list[int] = []
    monkeypatch.setattr(ablate, "launch_sweep", lambda plan, *_, **__: started.extend([*plan.first, *plan.later]))
    assert called(monkeypatch, *run, "rows=[jump]") == 0
    shown = capsys.readouterr().out
    assert started == [1]
    assert "turn left" in shown and "jump" in shown


def test_a_row_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, "ablation=scan_primitives", "rows=[jumps]") == 2
    assert "rows: 'jumps' is no row of ablation=scan_primitives. Did you mean" in capsys.readouterr().err
    assert called(monkeypatch, "ablation=cells", "rows=[gru]") == 2
    assert "The table has axes only: leave `rows` out." in capsys.readouterr().err


def test_a_look_that_is_over_before_it_is_warm_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(monkeypatch, "ablation=scan_primitives", "mode=dry_run", "profile=5") == 2
    assert "profile is 5; the first ten updates are a warm-up." in capsys.readouterr().err
