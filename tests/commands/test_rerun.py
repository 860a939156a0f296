"""A run again from its record alone, and what is said where it comes out otherwise."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq_lightning.commands.rerun import Line, circumstances, compared, find
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.record import Record, write_record
from seq2seq_lightning.experiments.scores import Score, Scores
from tests.terminal import SMALL, seq2seq

GREEDY = {"name": "greedy"}


def record(fingerprint: str = "abcdef012345", **changes: object) -> Record:
    return replace(Record("completed", "a", fingerprint, 1, {}, 1, commit="1" * 40, dirty=False), **changes)  # type: ignore[arg-type]


def scores(value: float, signature: str = "s", decoding: dict | None = None) -> Scores:
    return Scores(decoding or GREEDY, "greedy", "test", 9, {"bleu": Score(value, signature, 9)})


def test_a_run_is_found_by_its_directory_or_by_how_its_fingerprint_begins(tmp_path: Path) -> None:
    for name in ("abcdef012345", "abffff012345"):
        write_record(tmp_path / "runs" / "a" / name, record(name))
    roots = [tmp_path / "runs", tmp_path / "results"]
    folder = tmp_path / "runs" / "a" / "abcdef012345"
    assert find(str(folder), roots) == find("abcdef012345", roots) == find("abc", roots) == folder
    with pytest.raises(ConfigurationError, match=r"'ab' begins the fingerprints of 2 runs .* Give more digits"):
        find("ab", roots)
    with pytest.raises(ConfigurationError, match=r"'fff' is neither the directory of a run"):
        find("fff", roots)


def test_of_many_runs_the_nearest_three_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"There is none: --root and --committed name other folders"):
        find("abc", [tmp_path])
    for digit in range(9):
        write_record(tmp_path / "a" / f"{digit}bcdef012345", record(f"{digit}bcdef012345"))
    write_record(tmp_path / "teacher" / "000000000000", record("000000000000"))
    with pytest.raises(ConfigurationError) as caught:
        find(f"{tmp_path}/a/4bcdef01234x", [tmp_path])
    told = str(caught.value)
    assert f"The nearest of 10: {tmp_path}/a/4bcdef012345, " in told and told.count(f"{tmp_path}/a/") == 4
    with pytest.raises(ConfigurationError, match=f"The nearest of 10: {tmp_path}/teacher/000000000000, "):
        find("teachers", [tmp_path])  # a run named by its folder


def test_scores_are_set_beside_those_of_equal_decoding_and_signature() -> None:
    beam = {"name": "beam", "beam_width": 3}
    recorded = [scores(30.0), scores(31.0, decoding=beam)]
    assert [line.now for line in compared(recorded, [scores(30.0), scores(32.0, decoding=beam)])] == [30.0, 32.0]
    assert [line.now for line in compared(recorded, [scores(30.0, "other")])] == [None, None]


@pytest.mark.parametrize(
    ("now", "tolerance", "differs"),
    [(30.0, 0.0, False), (30.1, 0.0, True), (30.1, 0.2, False), (None, 9.0, True), (math.nan, 9.0, True)],
)
def test_what_differs(now: float | None, tolerance: float, differs: bool) -> None:
    assert Line("test", "greedy", "bleu", 30.0, now).differs(tolerance) is differs


def test_two_scores_that_are_no_numbers_are_alike() -> None:
    assert not Line("test", "greedy", "bleu", math.nan, math.nan).differs(0.0)


def test_circumstances_are_told_where_they_changed() -> None:
    now = record(commit="2" * 40, dirty=True, versions={"torch": "2.14"})
    assert circumstances(record(versions={"torch": "2.13"}), now) == [
        "commit: 1111111111 then, 2222222222+ now",
        "torch: 2.13 then, 2.14 now",
    ]


@pytest.mark.very_slow
def test_a_run_comes_out_as_recorded_and_a_changed_record_is_noticed(tmp_path: Path) -> None:
    arguments = [*SMALL, "trainer.max_steps=15", "name=one"]
    seq2seq("train", *arguments, folder=tmp_path)
    (folder,) = (tmp_path / "runs" / "one").iterdir()
    seq2seq("evaluate", f"run={folder}", "decoding=beam", "decoding.beam_width=3", folder=tmp_path)
    ended = seq2seq("rerun", folder.name[:6], folder=tmp_path)
    assert "all are as recorded" in ended.out and "beam" in ended.out
    assert (tmp_path / "reruns" / "one" / folder.name / "record.json").exists()
    (path, *_) = sorted(folder.glob("decodings/greedy*/scores.json"))
    plain = json.loads(path.read_text())
    plain["scores"]["perplexity"]["value"] += 1.0
    path.write_text(json.dumps(plain))
    assert "1 differ" in seq2seq("rerun", str(folder), folder=tmp_path, status=1).out
    assert "neither the directory of a run" in seq2seq("rerun", "zzz", folder=tmp_path, status=2).err
