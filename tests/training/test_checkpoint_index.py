"""The index knows the last, the best and the kept, and survives going back."""

from __future__ import annotations

import json
import math

import pytest

from seq2seq_lightning.errors import CheckpointError
from seq2seq_lightning.training.checkpoint_index import (
    AverageEntry,
    CheckpointEntry,
    CheckpointIndex,
    best_checkpoint,
    checkpoint_path,
    earlier_checkpoints,
    last_checkpoint,
    list_checkpoint,
    prune,
    read_index,
    sorted_by_score,
    write_index,
)


def save(folder, global_step, score=None, mode="min"):
    path = checkpoint_path(folder, global_step)
    path.write_bytes(b"weights")
    return list_checkpoint(path, global_step, score, mode)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_file_says_last_best_and_kept(tmp_path):
    save(tmp_path, 10, 2.0)
    save(tmp_path, 20, 3.0)
    assert json.loads((tmp_path / "index.json").read_text()) == {
        "last": "step-20.ckpt",
        "best": "step-10.ckpt",
        "kept": [
            {"file": "step-10.ckpt", "global_step": 10, "score": 2.0},
            {"file": "step-20.ckpt", "global_step": 20, "score": 3.0},
        ],
    }
    assert last_checkpoint(tmp_path) == tmp_path / "step-20.ckpt"
    assert best_checkpoint(tmp_path) == tmp_path / "step-10.ckpt"


def test_an_empty_folder_has_none(tmp_path):
    assert read_index(tmp_path) == CheckpointIndex()
    assert last_checkpoint(tmp_path) is None and best_checkpoint(tmp_path) is None
    assert prune(tmp_path) == []


@pytest.mark.parametrize("mode, best", [("min", "step-3.ckpt"), ("max", "step-1.ckpt")])
def test_the_mode_decides_and_the_earlier_of_equals_wins(tmp_path, mode, best):
    for global_step, score in enumerate([5.0, 4.0, 1.0, 1.0, 5.0], start=1):
        index = save(tmp_path, global_step, score, mode)
    assert index.best == best and index.last == "step-5.ckpt"


def test_without_scores_the_best_is_the_last(tmp_path):
    save(tmp_path, 1)
    assert save(tmp_path, 2).best == "step-2.ckpt"
    assert save(tmp_path, 3, 9.0).best == "step-3.ckpt"
    assert save(tmp_path, 4).best == "step-3.ckpt"


def test_a_score_that_is_no_number_is_never_the_best(tmp_path):
    save(tmp_path, 1, 2.0)
    index = save(tmp_path, 2, math.nan)
    assert index.best == "step-1.ckpt" and index.kept[1].score is None


def test_saving_again_keeps_a_score(tmp_path):
    save(tmp_path, 1, 2.0)
    assert [entry.score for entry in save(tmp_path, 1).kept] == [2.0]


def test_a_future_given_up_leaves_the_index(tmp_path):
    for global_step, score in [(10, 3.0), (20, 2.0), (30, 1.0)]:
        save(tmp_path, global_step, score)
    index = save(tmp_path, 15, 2.5)
    assert [entry.global_step for entry in index.kept] == [10, 15]
    assert (index.best, index.last) == ("step-15.ckpt", "step-15.ckpt")


def test_prune_keeps_the_newest_and_the_best(tmp_path):
    for global_step, score in [(1, 3.0), (2, 1.0), (3, 2.0), (4, 2.0), (5, 2.0)]:
        save(tmp_path, global_step, score)
    (tmp_path / "step-6.ckpt").write_bytes(b"written, not yet listed when the process died")
    (tmp_path / ".step-7.ckpt.12.ab.tmp").write_bytes(b"half")
    deleted = prune(tmp_path, keep=2)
    assert {path.name for path in deleted} == {"step-1.ckpt", "step-3.ckpt", "step-6.ckpt", ".step-7.ckpt.12.ab.tmp"}
    assert files(tmp_path) == ["index.json", "step-2.ckpt", "step-4.ckpt", "step-5.ckpt"]
    assert [entry.global_step for entry in read_index(tmp_path).kept] == [2, 4, 5]
    assert prune(tmp_path, keep=2) == []


def test_earlier_ones_newest_first(tmp_path):
    for global_step in (1, 2, 3):
        save(tmp_path, global_step)
    (tmp_path / "step-2.ckpt").unlink()
    assert earlier_checkpoints(tmp_path / "step-3.ckpt") == [tmp_path / "step-1.ckpt"]
    assert earlier_checkpoints(tmp_path / "step-1.ckpt") == []


@pytest.mark.parametrize("text", ["{", "[]", '{"last": null}', '{"last": null, "best": null, "kept": [{"x": 1}]}'])
def test_a_damaged_index_is_named(tmp_path, text):
    (tmp_path / "index.json").write_text(text)
    with pytest.raises(CheckpointError) as caught:
        read_index(tmp_path)
    assert "index.json is damaged" in str(caught.value) and "Delete it" in str(caught.value)


def test_an_average_is_decoded_with_kept_and_dropped_when_training_goes_on(tmp_path):
    save(tmp_path, 1, 1.0)
    index = save(tmp_path, 2, 2.0)
    (tmp_path / "average.ckpt").write_bytes(b"mean")
    write_index(tmp_path, CheckpointIndex(index.last, index.best, index.kept, AverageEntry("average.ckpt", [1, 2])))
    assert best_checkpoint(tmp_path) == tmp_path / "average.ckpt" and last_checkpoint(tmp_path).name == "step-2.ckpt"
    assert prune(tmp_path) == [] and read_index(tmp_path).average == AverageEntry("average.ckpt", [1, 2])
    save(tmp_path, 3, 3.0)
    assert best_checkpoint(tmp_path) == tmp_path / "step-1.ckpt"
    assert {path.name for path in prune(tmp_path)} == {"average.ckpt", "step-2.ckpt"}


def test_prune_keeps_what_it_is_told_to(tmp_path):
    for global_step in (1, 2, 3):
        save(tmp_path, global_step, float(global_step))
    prune(tmp_path, keep=1, also={"step-2.ckpt"})
    assert [entry.global_step for entry in read_index(tmp_path).kept] == [1, 2, 3]
    assert prune(tmp_path, keep=1) == [tmp_path / "step-2.ckpt"]


@pytest.mark.parametrize("mode, order", [("min", [2, 3, 1]), ("max", [1, 2, 3])])
def test_scores_are_sorted_and_the_earlier_of_equals_comes_first(mode, order):
    entries = [CheckpointEntry(f"step-{step}.ckpt", step, score) for step, score in [(3, 1), (1, 2), (2, 1), (4, None)]]
    assert [entry.global_step for entry in sorted_by_score(entries, mode)] == order
