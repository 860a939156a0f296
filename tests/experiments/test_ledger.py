from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.experiments.ablation import expand
from seq2seq_lightning.experiments.ablation_config import AblationConfig, RowConfig
from seq2seq_lightning.experiments.files import lock
from seq2seq_lightning.experiments.ledger import (
    Entry,
    State,
    all_runs,
    collect,
    export,
    find_run,
    lock_path,
    read_trials,
    run_dir,
    state_of,
    write_trials,
)
from seq2seq_lightning.experiments.record import Record, write_record
from seq2seq_lightning.experiments.scores import Score, Scores, decoding_dir, write_scores

RECORD = Record("completed", "scan", "0123456789ab", 1, {"seed": 1}, 1)
SCORES = Scores({"name": "greedy"}, "greedy", "test", 4, {"exact_match": Score(75.0, "s", 4)})


def made(root: Path, status: str, name: str = "scan") -> Path:
    folder = run_dir(root, name, RECORD.fingerprint)
    write_record(folder, replace(RECORD, status=status, error="boom" if status == "failed" else None))
    return folder


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("completed", State.finished),
        ("failed", State.failed),
        ("interrupted", State.interrupted),
        ("running", State.interrupted),
    ],
)
def test_the_state_of_a_run_nobody_works_on(tmp_path: Path, status: str, state: State) -> None:
    seen = state_of(made(tmp_path, status))
    assert seen.state is state
    assert seen.problem == ("boom" if status == "failed" else None)


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_a_held_lock_means_running(tmp_path: Path, status: str) -> None:
    folder = made(tmp_path, status)
    with lock(lock_path(folder)):
        assert state_of(folder).state is State.running
    assert state_of(folder).state is not State.running


def test_a_folder_without_a_record_is_missing_until_somebody_works_there(tmp_path: Path) -> None:
    folder = run_dir(tmp_path, "scan", "ab")
    assert state_of(folder).state is State.missing
    with lock(lock_path(folder)):
        assert state_of(folder).state is State.running


def test_a_damaged_record_is_a_failed_run_and_a_newer_one_is_never_overwritten(tmp_path: Path) -> None:
    folder = made(tmp_path, "completed")
    record = folder / "record.json"
    record.write_text(record.read_text().replace('"schema": 1', '"schema": 2'))
    with pytest.raises(DataError, match="schema 2"):
        find_run(RECORD.fingerprint, [tmp_path])
    record.write_text('{"sche')
    run = find_run(RECORD.fingerprint, [tmp_path])
    assert run is not None and run.state is State.failed and "damaged" in str(run.problem)


def test_a_run_is_found_under_any_name_and_a_finished_one_first(tmp_path: Path) -> None:
    runs, results = tmp_path / "runs", tmp_path / "results"
    assert find_run(RECORD.fingerprint, [runs, results]) is None
    failed = made(runs, "failed")
    assert find_run(RECORD.fingerprint, [runs, results]) == state_of(failed)
    committed = made(results, "completed", "scan_primitives")
    found = find_run(RECORD.fingerprint, [runs, results])
    assert found is not None and (found.run_dir, found.state) == (committed, State.finished)
    assert [run.run_dir for run in all_runs(runs)] == [failed]


def test_a_name_with_a_slash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="`name=a/b` cannot name a folder of runs"):
        run_dir(tmp_path, "a/b", "ab")


def test_what_is_committed_names_neither_paths_nor_machines(tmp_path: Path) -> None:
    folder = run_dir(tmp_path / "runs", "scan", RECORD.fingerprint)
    record = replace(
        RECORD,
        config={"data": {"path": "/home/me/data/train.en", "url": "https://host.org/a/b"}, "model": "model/cell=gru"},
        overrides=["data.train.source=/home/me/data/train.en", "model/cell=gru"],
        hardware={"cpu": "x", "host": "box17"},
        data={"note": "read on box17 from ../secret/place/file"},
    )
    write_record(folder, record)
    scores = replace(SCORES, checkpoint={"path": "/home/me/runs/step-5.ckpt", "step": 5})
    place = decoding_dir(folder, scores.decoding, "test", {})
    write_scores(place, scores, [{"index": 0}])
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step-5.ckpt").write_bytes(b"weights")

    copy = export(folder, tmp_path / "results" / "scan_primitives")

    assert sorted(item.name for item in copy.rglob("*") if item.is_file()) == ["record.json", "scores.json"]
    text = "".join(item.read_text() for item in copy.rglob("*.json"))
    assert not any(word in text for word in ("/home", "box17", "secret", "me/"))
    seen = state_of(copy)
    assert seen.state is State.finished and seen.record is not None
    assert seen.record.overrides == ["data.train.source=train.en", "model/cell=gru"]
    assert seen.record.config == {
        "data": {"path": "train.en", "url": "https://host.org/a/b"},
        "model": "model/cell=gru",
    }
    assert json.loads((copy / "decodings" / place.name / "scores.json").read_text())["checkpoint"] == {
        "path": "step-5.ckpt",
        "step": 5,
    }


def test_only_a_completed_run_is_exported(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is failed; only a completed run can be exported"):
        export(made(tmp_path, "failed"), tmp_path / "results")


def test_trials_are_joined_with_what_is_known_of_them(tmp_path: Path) -> None:
    rows = [RowConfig("left"), RowConfig("jump")]
    trials = expand(AblationConfig(seeds=[1, 2], rows=rows, metrics=["exact_match"]))
    folder = made(tmp_path / "runs", "completed")
    place = decoding_dir(folder, SCORES.decoding, "test", {})
    write_scores(place, SCORES)
    write_scores(decoding_dir(folder, {"name": "beam"}, "test", {}), SCORES)
    write_trials(tmp_path, {trials[0].key: Entry(RECORD.fingerprint, [place.name]), trials[1].key: Entry("ffff")})

    results = collect(trials, read_trials(tmp_path), [tmp_path / "runs"])

    assert [result.state for result in results] == [State.finished, State.missing, State.missing, State.missing]
    assert results[0].scores == (SCORES,) and results[0].record == RECORD
    assert [result.fingerprint for result in results] == [RECORD.fingerprint, "ffff", None, None]


def test_a_damaged_list_of_trials_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"trials\.json does not exist"):
        read_trials(tmp_path)
    for content, message in [('{"schema": 1}', "lists no trials"), ('{"schema": 2, "trials": {}}', "schema 2")]:
        (tmp_path / "trials.json").write_text(content)
        with pytest.raises(DataError, match=message):
            read_trials(tmp_path)
