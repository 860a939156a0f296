"""A run that dies anywhere and is asked for again ends with the bits it would have had."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq_lightning import run as run_module
from seq2seq_lightning import scoring
from seq2seq_lightning.config import Config
from seq2seq_lightning.experiments.files import read_jsonl
from seq2seq_lightning.experiments.ledger import State, state_of
from seq2seq_lightning.job import Job
from seq2seq_lightning.run import run
from seq2seq_lightning.training import callbacks, checkpoint_io, trainer
from seq2seq_lightning.training.checkpoint_index import read_index
from seq2seq_lightning.training.loggers import HistoryLogger
from tests.bits import assert_same_run, scores_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

# Everything that carries a state from update to update: dropout, coins per token, sampled feeding, epochs of 13
# updates, averaged weights, a plateau and early stopping that both count validations. A checkpoint each 7 updates, a
# validation each 14. The exact match hardly moves so early, so the plateau lowers the rate, and training stops 4
# validations after the first: at update 70 of 90.
PLAIN: dict[str, Any] = {
    "data": {
        "name": "reverse",
        "train_size": 200,
        "val_size": 20,
        "test_size": 20,
        "symbols": 6,
        "train_max_length": 6,
        "evaluation_max_length": 7,
        "batching": {"size": 16},
    },
    "model": {
        "encoder": {
            "embedding_size": 12,
            "hidden_size": 16,
            "layers": 2,
            "dropout": {"embedding": 0.3, "layers": 0.3, "output": 0.3},
        },
        "decoder": {
            "embedding_size": 12,
            "hidden_size": 16,
            "dropout": {"embedding": 0.3, "context": 0.3, "output": 0.3},
        },
    },
    "teacher_forcing": {"name": "constant", "ratio": 0.5, "fed_back": "sample"},
    "optimizer": {"name": "adam", "ema": 0.9},
    "learning_rate": {"name": "plateau", "patience": 0},
    "validation": {"every": 14, "patience": 4, "min_delta": 101.0, "monitor": "val/exact_match"},
    "trainer": {"max_steps": 90, "threads": 1, "accelerator": "cpu", "log_every": 1},
    "checkpoint": {"every": 7, "keep": 3, "average": 3, "after_scoring": "keep_all"},
}


class Death(BaseException):
    """What no code of ours catches."""


def job(runs: Path, **changes: Any) -> Job:
    return Job.of(Config.from_plain({**PLAIN, "paths": {"runs": str(runs)}, **changes}), [])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run that nobody disturbed."""
    threads = torch.get_num_threads()
    made = job(tmp_path_factory.mktemp("undisturbed"))
    run(made)
    torch.set_num_threads(threads)
    return made.folder


def test_the_undisturbed_run_is_worth_comparing_with(undisturbed: Path) -> None:
    history = read_jsonl(undisturbed / "history.jsonl")
    assert max(entry["global_step"] for entry in history) == 70  # early stopping ended it
    assert len({entry["value"] for entry in history if entry["key"] == "train/loss"}) == 70
    fed_back = [entry["value"] for entry in history if entry["key"] == "train/fed_back"]
    assert 0.2 < sum(fed_back) / len(fed_back) < 0.6
    assert len([entry for entry in history if entry["key"] == "val/loss"]) == 5
    assert [entry.global_step for entry in read_index(undisturbed / "checkpoints").kept][-1] == 70
    assert len(scores_of(undisturbed)) == 1
    (scored, _) = next(iter(scores_of(undisturbed).values()))
    assert scored["checkpoint"] == {"global_step": 70, "averaged": [56, 63, 70]}
    rates = [entry["value"] for entry in history if entry["key"] == "train/learning_rate"]
    assert len(set(rates)) > 1


def test_the_same_job_gives_the_same_bits(undisturbed: Path, tmp_path: Path) -> None:
    other = job(tmp_path)
    run(other)
    assert_same_run(other.folder, undisturbed)


def dying(function: Callable[..., Any], call: int, before: bool) -> Callable[..., Any]:
    """The function, until its so-many-th call, before or after which the process dies."""
    calls = 0

    def wrapped(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and before:
            raise Death
        result = function(*arguments, **options)
        if calls == call:
            raise Death
        return result

    return wrapped


# where → (object, attribute, the call at which it dies). Log entries: one per update, and one more per validation.
PLACES: dict[str, tuple[Any, str, int]] = {
    "at the first update": (HistoryLogger, "log_metrics", 1),
    "between checkpoints": (HistoryLogger, "log_metrics", 11),
    "while logging a validation": (HistoryLogger, "log_metrics", 29 + 1),
    "around a checkpoint without validation": (checkpoint_io, "write_checkpoint", 3),
    "around a checkpoint with validation": (checkpoint_io, "write_checkpoint", 4),
    "around its entry in the index": (callbacks, "list_checkpoint", 4),
    "around the removal of older ones": (callbacks, "prune", 4),
    "around the last checkpoint": (checkpoint_io, "write_checkpoint", 10),
    "around the mean of checkpoints": (trainer, "average_checkpoints", 1),
    "around the scores": (scoring, "write_scores", 1),
    "around the end": (run_module, "tidy", 1),
}


@pytest.mark.parametrize(
    "before", [True, pytest.param(False, marks=pytest.mark.very_slow)], ids=["before", "after"]
)  # tests/faults ends runs in the midst of each write too
@pytest.mark.parametrize("place", PLACES)
def test_a_run_that_dies_and_is_repeated_has_the_same_bits(
    place: str, before: bool, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, name, call = PLACES[place]
    with monkeypatch.context() as patch:
        patch.setattr(target, name, dying(getattr(target, name), call, before))
        with pytest.raises(Death):
            run(job(tmp_path))
    assert state_of(job(tmp_path).folder).state is State.failed
    run(job(tmp_path))
    assert state_of(job(tmp_path).folder).state is State.finished
    assert_same_run(job(tmp_path).folder, undisturbed)


def test_a_run_that_dies_again_and_again_has_the_same_bits(
    undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(6):  # 15 log entries, then the end; it resumes at most 7 updates back
        with monkeypatch.context() as patch:
            patch.setattr(HistoryLogger, "log_metrics", dying(HistoryLogger.log_metrics, 15, False))
            with pytest.raises(Death):
                run(job(tmp_path))
    run(job(tmp_path))
    assert_same_run(job(tmp_path).folder, undisturbed)


@pytest.mark.parametrize("workers", [pytest.param(0, marks=pytest.mark.very_slow), 1])
def test_a_run_on_a_stream_that_dies_again_and_again_has_the_same_bits(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batching = {"size": 16, "pool": -1, "buffer": 48, "workers": workers}  # epochs of five buffers, the last of 8 pairs
    changes = {"data": PLAIN["data"] | {"batching": batching}, "trainer": PLAIN["trainer"] | {"max_steps": 32}}
    whole, often = (job(tmp_path / name, **changes) for name in ("whole", "often"))
    run(whole)
    for _ in range(2):
        with monkeypatch.context() as patch:
            patch.setattr(HistoryLogger, "log_metrics", dying(HistoryLogger.log_metrics, 12, False))
            with pytest.raises(Death):
                run(often)
    run(often)
    assert_same_run(often.folder, whole.folder)


def test_a_finished_run_is_left_as_it_is(undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.stat().st_mtime_ns for path in undisturbed.rglob("*") if path.is_file()}
    runs = undisturbed.parent.parent
    monkeypatch.setattr(run_module, "train_model", dying(run_module.train_model, 1, True))
    scores = run(job(runs))
    assert scores["test"].scores == scoring.read_scores(next((undisturbed / "decodings").iterdir())).scores
    changed = {path.name for path, stamp in before.items() if path.stat().st_mtime_ns != stamp}
    assert changed <= {"run.lock"}


def test_a_decoding_is_added_without_training(undisturbed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = (undisturbed / "record.json").read_bytes()
    greedy = scores_of(undisturbed)
    config = Config.from_plain({**PLAIN, "paths": {"runs": str(undisturbed.parent.parent)}, "decoding": {
        "name": "beam", "beam_width": 1, "length_penalty": "none"}})  # fmt: skip
    monkeypatch.setattr(run_module, "train_model", dying(run_module.train_model, 1, True))
    run(Job.of(config, []))
    assert (undisturbed / "record.json").read_bytes() == record
    both = scores_of(undisturbed)
    assert len(both) == 2
    (beam,) = (scores for name, scores in both.items() if name not in greedy)
    assert beam[0]["scores"] == next(iter(greedy.values()))[0]["scores"]  # a beam of one is greedy
    assert [json.loads(line)["hypothesis"] for line in beam[1].splitlines()] == [
        json.loads(line)["hypothesis"] for line in next(iter(greedy.values()))[1].splitlines()
    ]
