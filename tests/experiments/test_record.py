from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq_lightning.errors import DataError
from seq2seq_lightning.experiments.record import (
    DamagedRecordError,
    Record,
    git_state,
    hardware,
    installed_versions,
    read_record,
    write_record,
)

RECORD = Record(
    status="completed",
    name="scan",
    fingerprint="0123456789ab",
    training_version=1,
    config={"model": {"cell": {"name": "gru"}}, "seed": 0, "teacher_forcing": {"granularity": "token"}},
    seed=0,
    overrides=["model/cell=gru", "seed=0"],
    commit="a" * 40,
    dirty=False,
    versions={"torch": "2.13.0"},
    hardware={"cpu": "x", "cores": 2},
    threads=1,
    parameters=123,
    data={"train": {"sha256": "b" * 64, "size": 5, "skips": {"empty": 1}}},
    timings={"train_seconds": 1.5},
    started="2026-01-01T00:00:00+00:00",
    finished="2026-01-01T00:00:01+00:00",
)


def test_a_record_comes_back_as_written(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    assert read_record(tmp_path) == RECORD
    assert next(iter(json.loads((tmp_path / "record.json").read_text()).items())) == ("schema", 1)


def test_no_key_reaches_the_file(tmp_path: Path) -> None:
    key, new_key = "0f" * 20, "wandb_v1_" + "Ab3" * 10
    config = {
        "logger": {"api_key": "plain-words", "project": "p", "entity": key, "url": "https://me:hush@host/x"},
        "hf_token": "x1",
        "monkey": "kept",
    }
    overrides = ["logger.api_key=plain-words", "+logger.password=plain-words", f"name={new_key}", "seed=1"]
    error = f"401 for key {key}, api_key=plain-words"
    write_record(tmp_path, replace(RECORD, config=config, overrides=overrides, error=error))
    text = (tmp_path / "record.json").read_text()
    for secret in (key, new_key, "plain-words", "hush", "x1"):
        assert secret not in text
    record = read_record(tmp_path)
    assert record.config["monkey"] == "kept"
    assert record.overrides == ["name=<removed>", "seed=1"]
    assert record.commit == "a" * 40 and record.data == RECORD.data


@pytest.mark.parametrize(
    ("schema", "message"),
    [(0, "has schema 0, but this version reads schema 1. Delete it"), (2, "schema 2.*Update seq2seq-lightning")],
)
def test_another_schema_is_refused_with_what_to_do(tmp_path: Path, schema: int, message: str) -> None:
    write_record(tmp_path, replace(RECORD, schema=schema))
    with pytest.raises(DataError, match=rf"record\.json {message}" if not schema else message) as caught:
        read_record(tmp_path)
    assert not isinstance(caught.value, DamagedRecordError)


def test_missing_and_damaged_records_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"record\.json does not exist: .* is not the folder of a run"):
        read_record(tmp_path)
    path = tmp_path / "record.json"
    for content, message in [
        ('{"schema": 1, "sta', "is damaged: it is not JSON"),
        ("[1, 2]", "is damaged: it is not a record"),
        ('{"schema": 1, "status": "completed", "loss": 3}', "unknown loss; missing config, fingerprint, name, seed"),
    ]:
        path.write_text(content)
        with pytest.raises(DamagedRecordError, match=message):
            read_record(tmp_path)


def test_an_unknown_status_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"status 'complete' is unknown\. Did you mean 'completed'"):
        replace(RECORD, status="complete")
    write_record(tmp_path, RECORD)
    path = tmp_path / "record.json"
    path.write_text(path.read_text().replace('"completed"', '"done"'))
    with pytest.raises(DamagedRecordError, match=r"record\.json is damaged: record status 'done'"):
        read_record(tmp_path)


def _git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_git_state_sees_changed_code_but_neither_results_nor_foreign_checkouts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert git_state(tmp_path) == (None, None)
    for folder in ("package", "results", "venv"):
        (tmp_path / folder).mkdir()
    (tmp_path / "package" / "code.py").write_text("1")
    (tmp_path / "results" / "table.md").write_text("1")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", "package", "results")
    _git(tmp_path, "commit", "-q", "-m", "one")
    commit, dirty = git_state(tmp_path / "package")
    assert commit is not None and len(commit) == 40 and dirty is False
    (tmp_path / "results" / "table.md").write_text("2")
    assert git_state(tmp_path / "package") == (commit, False)
    (tmp_path / "package" / "code.py").write_text("2")
    assert git_state(tmp_path / "package") == (commit, True)
    assert git_state(tmp_path / "venv") == (None, None)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))  # as inside a hook
    assert git_state(tmp_path / "package") == (commit, True)


def test_hardware_and_versions_say_what_is_there() -> None:
    seen = hardware()
    assert seen["cpu"] and seen["cores"] >= 1 and seen["memory_gib"] > 0
    versions = installed_versions(["pytest", "no-such-package"])
    assert versions["pytest"] == pytest.__version__ and "no-such-package" not in versions and "python" in versions
