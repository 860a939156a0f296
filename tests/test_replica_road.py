"""`seq2seq-ablate replicas=2`: seeds of a row at once, in a table like any other; killed, they go on together."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seq2seq_lightning.experiments.ledger import State, all_runs
from seq2seq_lightning.experiments.record import read_record
from tests.terminal import seq2seq

pytestmark = [pytest.mark.very_slow, pytest.mark.timeout(1800)]

FILE = """
defaults:
  - /schema/ablation@_here_: ablation
  - _self_

name: tiny
seeds: [1, 2, 3]
base:
  - data=reverse
  - data.train_size=50
  - data.val_size=0
  - data.test_size=5
  - data.batching.size=2
  - model/bridge=copy
  - model.encoder.hidden_size=8
  - model.decoder.hidden_size=8
  - teacher_forcing.ratio=0.5
  - trainer.accelerator=cpu
  - trainer.max_steps=MAX_STEPS
rows:
  - {label: the gru, overrides: [model/cell=gru]}
  - {label: the lstm, overrides: [model/cell=lstm]}
metrics: [exact_match]
"""


def place(folder: Path, max_steps: int) -> list[str]:
    """The command's arguments, and the file that they name."""
    (folder / "conf" / "ablation").mkdir(parents=True)
    (folder / "conf" / "ablation" / "tiny.yaml").write_text(FILE.replace("MAX_STEPS", str(max_steps)))
    return ["--config-dir", str(folder / "conf"), "ablation=tiny", "committed=null", "replicas=2"]


def test_pairs_of_seeds_fill_the_table(tmp_path: Path) -> None:
    arguments = place(tmp_path, 6)
    told = seq2seq("ablate", *arguments, folder=tmp_path)
    assert "and seeds 2" in told.err
    runs = [read_record(path.parent) for path in sorted(tmp_path.glob("runs/tiny/*/record.json"))]
    assert {record.status for record in runs} == {"completed"}
    found = sorted((record.seed, tuple(record.timings.get("replicas", []))) for record in runs)
    assert found == [(1, (1, 2))] * 2 + [(2, (1, 2))] * 2 + [(3, ())] * 2  # the third is left to itself
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/tiny/*/record.json")}
    seq2seq("ablate", *arguments, folder=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    refused = seq2seq(
        "ablate", *arguments, "ablation.seeds=[8,9]", 'overrides=["optimizer.ema=0.9"]', folder=tmp_path, status=2
    )
    assert "optimizer.ema=0.9 has no form for replicas." in refused.err


def test_killed_seeds_go_on_together(tmp_path: Path) -> None:
    arguments = [*place(tmp_path, 1500), "ablation.seeds=[1,2]"]
    command = [sys.executable, "-m", "seq2seq_lightning.commands.ablate", *arguments]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not any("training" in path.read_text() for path in tmp_path.glob("runs/tiny/*/progress.json")):
        assert process.poll() is None
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    process.wait(600)
    stopped = [run for run in all_runs(tmp_path / "runs") if run.state is State.interrupted]
    assert len(stopped) == 2
    newest = {json.loads((run.run_dir / "checkpoints" / "index.json").read_text())["last"] for run in stopped}
    assert len(newest) == 1
    seq2seq("ablate", *arguments, folder=tmp_path)
    runs = list(all_runs(tmp_path / "runs"))
    assert {run.state for run in runs} == {State.finished}
    assert all(run.record is not None and run.record.timings["updates"] == 1500 for run in runs)
