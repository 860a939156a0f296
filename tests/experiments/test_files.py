from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_lightning.errors import DataError
from seq2seq_lightning.experiments.files import (
    BusyError,
    append_jsonl,
    is_locked,
    lock,
    read_json,
    read_jsonl,
    replacing,
    write_json_durably,
    write_text_durably,
)


def test_text_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    write_text_durably(path, "first")
    write_text_durably(path, "zweite ñ\n")
    assert path.read_text(encoding="utf-8") == "zweite ñ\n"
    assert [item.name for item in path.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_failure_before_the_end_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    path = tmp_path / "record.json"
    write_json_durably(path, {"old": True})

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, fails, fail)
    with pytest.raises(DataError, match=r"record\.json was not written: the disk is full.*make room"):
        write_json_durably(path, {"new": True})
    assert json.loads(path.read_text()) == {"old": True}
    assert [item.name for item in tmp_path.iterdir()] == ["record.json"]


def test_an_interruption_inside_the_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    write_text_durably(path, "old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_data_is_on_disk_before_the_name_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda number: (calls.append("fsync"), fsync(number))[1])
    monkeypatch.setattr(os, "replace", lambda *paths: (calls.append("replace"), replace(*paths))[1])
    write_text_durably(tmp_path / "file", "text")
    assert calls == ["fsync", "replace", "fsync"]


def test_a_folder_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(DataError, match="taken was not written: Is a directory"):
        write_text_durably(tmp_path / "taken", "text")


def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"run\.lock was not written: "), lock(tmp_path / "file" / "run.lock"):
        pass


def test_a_damaged_json_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"half": ')
    with pytest.raises(DataError, match=r"a\.json is damaged"):
        read_json(tmp_path / "a.json")
    with pytest.raises(DataError, match=r"b\.json does not exist"):
        read_json(tmp_path / "b.json")


@settings(deadline=None)
@given(cut=st.integers(min_value=0, max_value=60))
def test_lines_survive_a_kill_at_any_byte(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("jsonl") / "history.jsonl"
    rows = [{"global_step": step, "key": "ü", "value": step / 3} for step in range(4)]
    append_jsonl(path, *rows)
    content = path.read_bytes()
    kept = content[: len(content) - cut]
    path.write_bytes(kept)
    whole = kept.count(b"\n") + (len(kept) > 0 and kept.endswith(b"}"))
    assert read_jsonl(path) == rows[:whole]
    append_jsonl(path, {"global_step": 9})
    assert read_jsonl(path) == [*rows[:whole], {"global_step": 9}]


def test_a_damaged_line_in_the_middle_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text('{"a": 1}\n{"a": \n{"a": 3}\n')
    with pytest.raises(DataError, match=r"history\.jsonl:2 is damaged"):
        read_jsonl(path)
    assert read_jsonl(tmp_path / "none.jsonl") == []


HOLD = """
import sys
from pathlib import Path
from seq2seq_lightning.experiments.files import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_lock_holds_across_processes_and_ends_with_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "run.lock"
    assert not is_locked(path)
    path.write_text("an owner before, killed, with a name that is much longer than any process and host of today " * 2)
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        assert len(path.read_text().splitlines()) == 1 and "today" not in path.read_text()
        assert is_locked(path)
        with (
            pytest.raises(BusyError, match=rf"in use by process {owner.pid} on .*Wait for it to end"),
            lock(path, False),
        ):
            pass
        owner.kill()
        owner.wait()
    assert not is_locked(path)
    with lock(path, blocking=False):
        assert is_locked(path)
    assert not is_locked(path)
