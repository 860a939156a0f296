"""A full disk, a folder that cannot be written, a damaged file, a clock that goes back: told, and nothing is lost."""

from __future__ import annotations

import datetime
import errno
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seq2seq_lightning import recording
from seq2seq_lightning.errors import CheckpointError, DataError, UserError
from seq2seq_lightning.experiments import files
from seq2seq_lightning.experiments.files import append_jsonl, lock, read_jsonl
from seq2seq_lightning.experiments.ledger import State, state_of
from seq2seq_lightning.experiments.record import Record, write_record
from seq2seq_lightning.experiments.scores import read_scores
from seq2seq_lightning.training.callbacks import write_progress
from seq2seq_lightning.training.checkpoint_index import (
    best_checkpoint,
    checkpoint_path,
    last_checkpoint,
    list_checkpoint,
    read_index,
)
from seq2seq_lightning.training.checkpoints import Checkpoint, read_checkpoint, write_checkpoint
from seq2seq_lightning.training.loggers import CSVLogger, HistoryLogger
from seq2seq_lightning.training.resuming import FITTED, standing
from tests.training.tiny import train

# -- disks and folders -------------------------------------------------------------------------------------------------

ERRORS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk is full",
    errno.EROFS: "Read-only file system",
    errno.EACCES: "Permission denied",
}


def failing(number: int) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail


def checkpoint(step: int) -> Checkpoint:
    return Checkpoint({}, {}, {}, {"global_step": step, "optimizer_states": []})


def saved(folder: Path, *steps: int, scores: dict[int, float] | None = None) -> list[Path]:
    for step in steps:
        write_checkpoint(checkpoint_path(folder, step), checkpoint(step))
        list_checkpoint(checkpoint_path(folder, step), step, (scores or {}).get(step))
    return [checkpoint_path(folder, step) for step in steps]


@pytest.mark.parametrize("number", ERRORS)
def test_a_checkpoint_that_cannot_be_written_leaves_the_last_good_one(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tmp_path, 1, 2)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(number))
        with pytest.raises(CheckpointError, match=rf"step-3\.ckpt was not written: {ERRORS[number]}"):
            saved(tmp_path, 3)
    assert last_checkpoint(tmp_path) == checkpoint_path(tmp_path, 2)
    assert read_checkpoint(checkpoint_path(tmp_path, 2)).global_step == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "step-1.ckpt", "step-2.ckpt"]


@pytest.mark.parametrize("number", ERRORS)
def test_history_that_cannot_be_written_is_told_and_mended(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = HistoryLogger(tmp_path)
    logger.log_metrics({"train/loss": 1.0}, 1)
    with monkeypatch.context() as patch:
        patch.setattr(files.crash_points, "torn", lambda file, path: _Half(file, number))
        with pytest.raises(DataError, match=rf"history\.jsonl was not written: {ERRORS[number]}"):
            logger.log_metrics({"train/loss": 2.0}, 2)
    logger.log_metrics({"train/loss": 2.0}, 2)
    assert [row["global_step"] for row in read_jsonl(tmp_path / "history.jsonl")] == [1, 2]


class _Half:
    """A file that is full in the middle of a write."""

    def __init__(self, file: Any, number: int) -> None:
        self.file, self.number = file, number

    def write(self, content: bytes) -> None:
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        failing(self.number)()


def test_what_nothing_depends_on_stops_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_progress(tmp_path, "training", 1, 9)
    monkeypatch.setattr(Path, "write_text", failing(errno.ENOSPC))
    write_progress(tmp_path, "training", 2, 9)
    assert json.loads((tmp_path / "progress.json").read_bytes())["done"] == 1
    monkeypatch.setattr(os, "pwrite", failing(errno.ENOSPC))
    with lock(tmp_path / "run.lock"):  # its owner is not named, but it holds
        assert files.is_locked(tmp_path / "run.lock")


def test_a_full_disk_ends_a_training_with_a_message_and_the_same_command_continues_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"trainer": {"max_steps": 6}, "checkpoint": {"every": 2}}
    whole = train(tmp_path / "whole", **settings)
    calls = iter(range(100))
    fsync = os.fsync
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda number: failing(errno.ENOSPC)() if next(calls) > 10 else fsync(number))
        with pytest.raises(UserError, match="was not written: the disk is full") as raised:
            train(tmp_path / "parts", **settings)
    assert "make room and repeat" in str(raised.value)
    newest = last_checkpoint(tmp_path / "parts" / "checkpoints")
    assert newest is not None and read_checkpoint(newest).can_be_resumed
    parts = train(tmp_path / "parts", **settings)
    assert parts.history == whole.history


# -- damaged files -----------------------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    """Turn one bit in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def truncate(path: Path) -> None:
    """Cut the second half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("harm", [flip, truncate])
def test_a_damaged_checkpoint_is_refused_and_deleting_it_goes_back_to_the_one_before(
    harm: Callable[[Path], None], tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"trainer": {"max_steps": 6}, "checkpoint": {"every": 2, "keep": 3}}
    whole = train(tmp_path / "whole", **settings)
    folder = tmp_path / "parts"
    train(folder, **settings)
    (folder / FITTED).unlink()  # as if it had been killed at the end
    newest = checkpoint_path(folder / "checkpoints", 6)
    harm(newest)
    with pytest.raises(
        CheckpointError, match=r"step-6\.ckpt is damaged .*The one before it is whole: .*step-4"
    ) as told:
        train(folder, **settings)
    assert "To train on from there, delete step-6.ckpt and repeat the command." in str(told.value)
    newest.unlink()
    assert standing(folder).checkpoint == checkpoint_path(folder / "checkpoints", 4)
    assert train(folder, **settings).history == whole.history


@pytest.mark.parametrize(
    ("deleted", "goes_on_from"), [((), 4), ((4,), 3), ((4, 3), 2), ((3,), 4), ((2,), 1), ((1, 2), None)]
)
def test_what_was_deleted_is_trained_again(deleted: tuple[int, ...], goes_on_from: int | None, tmp_path: Path) -> None:
    paths = dict(zip((1, 2, 3, 4), saved(tmp_path, 1, 2, 3, 4, scores={2: 0.5, 4: 0.9}), strict=True))
    assert best_checkpoint(tmp_path) == paths[2]
    for step in deleted:
        paths[step].unlink()
    assert last_checkpoint(tmp_path) == (None if goes_on_from is None else paths[goes_on_from])


def test_a_training_whose_best_checkpoint_was_deleted_is_not_over(tmp_path: Path) -> None:
    (path,) = saved(tmp_path / "checkpoints", 5)
    (tmp_path / FITTED).write_text('{"updates": 5}')
    assert standing(tmp_path).timings == {"updates": 5}
    path.unlink()
    assert standing(tmp_path).timings is None and standing(tmp_path).checkpoint is None


def test_a_damaged_end_of_training_is_named(tmp_path: Path) -> None:
    saved(tmp_path / "checkpoints", 5)
    for content in ("{", "[1]", "7"):
        (tmp_path / FITTED).write_text(content)
        with pytest.raises(DataError, match=r"Delete .*fitted\.json and repeat the command"):
            standing(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["{", '{"last": "step-1.ckpt"}', "[]", '{"last": 3, "best": null, "kept": [{"file": 1}]}', '{"last": "a", "kept"'],
)
def test_a_damaged_index_is_refused_with_its_remedy(content: str, tmp_path: Path) -> None:
    saved(tmp_path, 1)
    (tmp_path / "index.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"index\.json is damaged .*Delete it to start this run afresh"):
        read_index(tmp_path)


@pytest.mark.parametrize("harm", [flip, truncate])
def test_a_damaged_record_counts_as_failed_and_says_what_to_do(harm: Callable[[Path], None], tmp_path: Path) -> None:
    write_record(tmp_path, Record("completed", "run", "0" * 12, 1, {"a": "b" * 50}, 1))
    path = tmp_path / "record.json"
    harm(path)
    found = state_of(tmp_path)
    if found.state is State.finished:  # a bit of a text: it is another text, nothing else
        assert harm is flip and found.record is not None and found.record.config != {"a": "b" * 50}
        return
    assert found.state is State.failed
    assert "record.json is damaged" in str(found.problem) and "Delete the file" in str(found.problem)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"global_step": 1, "ke', r"history\.jsonl:2 is damaged: the line is not a JSON object\. Delete that line"),
        ('{"global_stdp": 1, "key": "a", "value": 1}', r"an entry has no global_step\. Delete that line"),
        ('{"global_step": "x"}', r"an entry has no global_step\. Delete that line"),
    ],
)
def test_a_damaged_history_is_named_with_what_to_do(line: str, words: str, tmp_path: Path) -> None:
    rows = ['{"global_step": 1, "key": "a", "value": 1}', line, '{"global_step": 2, "key": "a", "value": 1}']
    (tmp_path / "history.jsonl").write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match=words):
        HistoryLogger(tmp_path).rewind(1)


@pytest.mark.parametrize(("content", "rows"), [("", 0), ("global_step,key,value\n1,a,2.0\n2,a", 1)])
def test_a_half_written_table_of_values_is_mended(content: str, rows: int, tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text(content)
    CSVLogger(tmp_path).rewind(5)
    assert (tmp_path / "history.csv").read_text().splitlines() == ["global_step,key,value", "1,a,2.0"][: rows + 1]


def test_a_damaged_table_of_values_is_named(tmp_path: Path) -> None:
    (tmp_path / "history.csv").write_text("global_step,key,value\nq,a,2.0\n")
    with pytest.raises(DataError, match=r"history\.csv is damaged: .*Delete that line"):
        CSVLogger(tmp_path).rewind(5)


def test_damaged_scores_are_named(tmp_path: Path) -> None:
    for content in ("{", "[]", '{"scores": {"bleu": {"valu": 1}}, "schema": 1}'):
        (tmp_path / "scores.json").write_text(content)
        with pytest.raises(DataError, match=r"scores\.json is damaged"):
            read_scores(tmp_path)


# -- clearing and clocks -----------------------------------------------------------------------------------------------


class Death(BaseException):
    """What no code of ours catches."""


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """Of a finished run, as far as its files tell."""
    saved(tmp_path / "checkpoints", 5)
    write_record(tmp_path, Record("completed", "run", "0" * 12, 1, {}, 1))
    for name in (FITTED, "windows.json", "decodings/greedy/scores.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("{}")
    append_jsonl(tmp_path / "history.jsonl", {"global_step": 5})
    return tmp_path


@pytest.mark.parametrize("moment", range(8))
def test_a_fresh_start_that_dies_while_it_clears_leaves_nothing_that_counts(
    moment: int, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = iter(range(100))

    def die(_: str) -> None:
        if next(count) == moment:
            raise Death

    with monkeypatch.context() as patch:
        patch.setattr(recording, "crash_point", die)
        with pytest.raises(Death):
            recording.clear(run_dir)
    assert state_of(run_dir).state is State.missing
    if not (run_dir / "checkpoints" / "index.json").exists():
        assert standing(run_dir).checkpoint is None and standing(run_dir).timings is None
    recording.clear(run_dir)
    assert [path for path in run_dir.rglob("*") if path.is_file()] == []


@pytest.fixture
def backwards(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A wall clock that goes back an hour each time somebody looks."""
    looks = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 1e9 - 3600.0 * next(looks))

    class Backwards(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return datetime.datetime.fromtimestamp(1e9 - 3600.0 * next(looks), tz)

    monkeypatch.setattr(recording, "datetime", Backwards)
    yield


def test_a_clock_that_goes_back_changes_nothing(backwards: None, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"trainer": {"max_steps": 6}, "checkpoint": {"every": 2}, "validation": {"every": 3}}
    part = train(tmp_path / "run", **settings)
    (tmp_path / "run" / FITTED).unlink()
    checkpoint_path(tmp_path / "run" / "checkpoints", 6).unlink()
    again = train(tmp_path / "run", **settings)
    assert [step for step, key in again.history if key == "train/loss"] == [1, 2, 3, 4, 5, 6]
    assert part.config == again.config and again.checkpoint.training["global_step"] == 6
