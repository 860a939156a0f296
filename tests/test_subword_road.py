"""Subwords go the whole road: learnt in training, cut by chance, resumed, decoded from the checkpoint alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from seq2seq_lightning.config import Config
from seq2seq_lightning.errors import CheckpointError
from seq2seq_lightning.job import Job
from seq2seq_lightning.run import run
from seq2seq_lightning.text.building import build_codecs
from seq2seq_lightning.text.pieces import PiecesTokenizer
from seq2seq_lightning.trained import load
from seq2seq_lightning.training.checkpoint_index import best_checkpoint
from seq2seq_lightning.training.checkpoints import read_checkpoint, write_checkpoint
from seq2seq_lightning.training.loggers import HistoryLogger
from tests.bits import assert_same_run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

BPE = {"name": "bpe", "vocab_size": 24}
PLAIN: dict[str, Any] = {
    "data": {
        "name": "reverse",
        "train_size": 40,
        "val_size": 6,
        "test_size": 6,
        "symbols": 30,
        "train_max_length": 6,
        "evaluation_max_length": 7,
        "batching": {"size": 8},
    },
    "text": {
        "joint": True,
        "source": {"tokenizer": BPE | {"dropout": 0.3}},
        "target": {"tokenizer": BPE},
    },
    "model": {
        "encoder": {"embedding_size": 8, "hidden_size": 8},
        "decoder": {"embedding_size": 8, "hidden_size": 8, "tie": "all"},
    },
    "trainer": {"max_steps": 4, "threads": 1, "accelerator": "cpu", "log_every": 1},
    "checkpoint": {"every": 2, "after_scoring": "keep_all"},
}


def job(folder: Path, **changes: Any) -> Job:
    return Job.of(Config.from_plain({**PLAIN, **changes, "paths": {"runs": str(folder)}}), [])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Job:
    made = job(tmp_path_factory.mktemp("subwords"))
    run(made)
    return made


def test_the_checkpoint_alone_translates_and_scores(
    finished: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = tmp_path / "alone.ckpt"
    found = best_checkpoint(finished.folder / "checkpoints")
    assert found is not None
    shutil.copy(found, alone)
    monkeypatch.setattr(PiecesTokenizer, "learn", None)  # nothing is learnt again
    trained = load(alone)
    assert trained.source.vocabulary == trained.target.vocabulary
    assert len(trained.target.vocabulary) == 24
    assert trained.model.encoder.embedding.weight is trained.model.output_layer.weight
    assert len(trained.translate(["12 3 27", "5"])) == 2
    assert trained.source.decode(trained.source.encode("12 3 27")) == "12 3 27"
    again = run(finished)
    assert again["test"].scores == run(finished)["test"].scores


class Death(BaseException):
    """What no code of ours catches."""


def test_a_run_that_dies_goes_on_with_what_was_learnt_and_has_the_same_bits(
    finished: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, calls = job(tmp_path), []
    log = HistoryLogger.log_metrics

    def dying(*arguments: Any, **options: Any) -> None:
        log(*arguments, **options)
        calls.append(1)
        if len(calls) == 3:
            raise Death

    with monkeypatch.context() as patch:
        patch.setattr(HistoryLogger, "log_metrics", dying)
        with pytest.raises(Death):
            run(made)
    with monkeypatch.context() as patch:
        patch.setattr(PiecesTokenizer, "learn", None)
        run(made)
    assert_same_run(made.folder, finished.folder)


def test_a_run_that_starts_from_another_cuts_as_that_one(finished: Job, tmp_path: Path) -> None:
    other = PLAIN["data"] | {"task_seed": 7, "symbols": 20}
    made = job(tmp_path, init_from=str(finished.folder), data=other)
    run(made)
    assert load(made.folder).source.learnt == load(finished.folder).source.learnt
    config = Config.from_plain(PLAIN | {"data": other})
    own, _ = build_codecs(config.text, ["1 2 3 4 5 6 7 8 9 0 11 12 11 12 13 14 15 13 14"], ["11 12 17 18 19"])
    assert own.learnt != load(finished.folder).source.learnt


def test_a_checkpoint_with_another_model_inside_is_refused(finished: Job, tmp_path: Path) -> None:
    found = best_checkpoint(finished.folder / "checkpoints")
    assert found is not None
    checkpoint = read_checkpoint(found)
    checkpoint.vocabularies["source"]["learnt"]["model"] = "AAAA"
    write_checkpoint(tmp_path / "crafted.ckpt", checkpoint)
    with pytest.raises(CheckpointError, match=r"tokenizer bpe cannot be used as it was stored: .* checksum"):
        load(tmp_path / "crafted.ckpt")
