"""An ablation of our own goes the whole road: file, trials, runs, table; again, it trains nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from seq2seq_lightning.experiments.ledger import State, all_runs
from tests.terminal import SMALL, Ended, seq2seq

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

FILE = f"""
defaults:
  - /schema/ablation@_here_: ablation
  - _self_

name: tiny
title: "Two cells, two searches"
source: "invented for this test"
base: {json.dumps([*SMALL, "trainer.max_steps=20"])}
seeds: [7]
rows:
  - label: the gru
    overrides: [model/cell=gru]
    published: {{exact_match: {{value: 99.0, n: 3, mark: P}}}}
  - label: the lstm
    overrides: [model/cell=lstm]
decodings:
  - {{label: greedy, overrides: [decoding=greedy]}}
  - {{label: wide, overrides: [decoding=beam, decoding.beam_width=4]}}
metrics: [exact_match, bleu]
criteria:
  - {{label: never reached, row: the gru, metric: exact_match, at_least: 98}}
deviations: ["hardly trained"]
"""


@dataclass(frozen=True)
class Ablated:
    folder: Path
    first: Ended

    def ablate(self, *arguments: str, status: int = 0) -> Ended:
        return ablate(self.folder, *arguments, status=status)

    @property
    def stamps(self) -> dict[Path, int]:
        """When each record and score was written."""
        names = ("record.json", "scores.json", "history.jsonl")
        return {path: path.stat().st_mtime_ns for name in names for path in (self.folder / "runs").rglob(name)}


def ablate(folder: Path, *arguments: str, status: int = 0) -> Ended:
    place = ["--config-dir", str(folder / "conf"), "ablation=tiny"]
    return seq2seq("ablate", *place, *arguments, folder=folder, status=status)


@pytest.fixture(scope="module")
def ablated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ablated]:
    folder = tmp_path_factory.mktemp("ablation")
    (folder / "conf" / "ablation").mkdir(parents=True)
    (folder / "conf" / "ablation" / "tiny.yaml").write_text(FILE)
    yield Ablated(folder, ablate(folder))


def test_each_row_is_trained_once_and_decoded_twice(ablated: Ablated) -> None:
    runs = list(all_runs(ablated.folder / "runs"))
    assert [run.state for run in runs] == [State.finished] * 2
    assert {run.record.config["model"]["cell"]["name"] for run in runs if run.record} == {"gru", "lstm"}
    for run in runs:
        assert run.record is not None
        assert (run.record.name, run.record.seed, run.record.config["group"]) == ("tiny", 7, "tiny")
        assert len(list((run.run_dir / "decodings").iterdir())) == 2
        steps = [json.loads(line)["global_step"] for line in (run.run_dir / "history.jsonl").read_text().splitlines()]
        assert steps == sorted(steps)  # one training


def test_the_table_tells_what_was_published_and_the_honest_verdict(ablated: Ablated) -> None:
    table = (ablated.folder / "runs" / "tiny" / "table.md").read_text()
    for words in ("Two cells, two searches", "the gru", "the lstm", "99", "not reproduced", "hardly trained"):
        assert words in table
        assert words in ablated.first.out


def test_the_same_command_trains_nothing_and_shows_the_same_table(ablated: Ablated) -> None:
    before = ablated.stamps
    assert ablated.ablate().out == ablated.first.out
    assert ablated.stamps == before


def test_the_trials_can_be_listed_and_counted(ablated: Ablated) -> None:
    listed = ablated.ablate("mode=dry_run").out
    assert len([line for line in listed.splitlines() if line.lstrip().startswith("finished")]) == 4
    assert "4 trials: 4 finished" in listed
    listed = ablated.ablate("mode=dry_run", "ablation.seeds=[7,8]").out
    assert "8 trials: 4 finished, 4 missing" in listed


def test_the_report_makes_the_table_again_from_records(ablated: Ablated) -> None:
    ended = seq2seq("report", "runs/tiny", folder=ablated.folder)
    table, _, written = ended.out.partition("written: ")
    assert table.strip() in ablated.first.out
    assert written.strip() == "runs/tiny/report.html"


def test_runs_are_listed(ablated: Ablated) -> None:
    listed = seq2seq("runs", "list", folder=ablated.folder).out
    assert listed.count("finished") == 2


def test_a_trial_that_cannot_be_composed_is_told_before_anything_runs(ablated: Ablated) -> None:
    before = ablated.stamps
    ended = ablated.ablate("overrides=['model.encoder.layers=0']", status=2)
    assert "`model.encoder.layers=0` must be at least 1." in ended.err
    assert ablated.stamps == before
