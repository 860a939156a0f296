"""Embeddings from a file: what they begin as, what training does to them, and that a run goes on without the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from seq2seq_lightning.config import Config, fingerprint
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.record import read_record
from seq2seq_lightning.job import Job
from seq2seq_lightning.run import run, train_model
from seq2seq_lightning.trained import load

VECTORS = "0 1 2 3 4\n1 5 6 7 8\nzzz 0 0 0 0\n<pad> 9 9 9 9\n"
ADAMW = {"name": "adamw", "weight_decay": 0.1}


def configured(folder: Path, *, freeze: bool = False, **sections: Any) -> Config:
    """One update over the symbols 0, 1 and 2, of which the file has two."""
    path = folder / "vectors.txt"
    path.write_text(VECTORS)
    plain: dict[str, Any] = {
        "data": {"name": "copy", "train_size": 8, "val_size": 2, "test_size": 2, "symbols": 3, "batching": {"size": 4}},
        "model": {
            "encoder": {"embedding_size": 4, "hidden_size": 4, "embedding": {"path": str(path), "freeze": freeze}},
            "decoder": {"embedding_size": 4, "hidden_size": 4, "embedding": {"path": str(path)}},
        },
        "optimizer": ADAMW,
        "trainer": {"max_steps": 1, "accelerator": "cpu", "log_every": 1},
        "paths": {"runs": str(folder / "runs")},
    }
    return Config.from_plain({**plain, **sections})


def trained(config: Config, folder: Path) -> dict[str, Any]:
    learnt: dict[str, Any] = {}
    folder.mkdir()
    corpus = build_task(config.data).read()
    train_model(Job(str(folder), "0" * 12, config.to_plain()), config, corpus, learnt)
    return learnt


def test_frozen_vectors_stay_and_others_learn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = configured(tmp_path, freeze=True)
    learnt = trained(config, tmp_path / "run")
    model = load(tmp_path / "run")
    ids = {token: index for index, token in enumerate(model.source.vocabulary.tokens)}
    source, target = model.model.encoder.embedding.weight, model.model.decoder.embedding.weight
    assert source[ids["0"]].tolist() == [1, 2, 3, 4] and source[ids["1"]].tolist() == [5, 6, 7, 8]
    assert source[ids["2"]].abs().min() > 0 and source[ids["<pad>"]].tolist() == [0, 0, 0, 0]
    assert not source.requires_grad and target.requires_grad
    assert target[ids["0"]].tolist() != [1, 2, 3, 4]
    torch.testing.assert_close(target[ids["0"]].detach(), torch.tensor([1.0, 2, 3, 4]), rtol=0, atol=0.1)
    assert learnt["embeddings"]["source"] == {
        "path": str(tmp_path / "vectors.txt"), "hash": learnt["embeddings"]["target"]["hash"], "vectors": 4,
        "words": 3, "found": 2, "share": 2 / 3,
    }  # fmt: skip
    assert "has vectors of 2 of the 3 source words (66.7%); the others keep drawn ones." in capsys.readouterr().err


def test_a_run_goes_on_and_is_loaded_without_the_file(tmp_path: Path) -> None:
    config = configured(tmp_path)
    job = Job.of(config, [])
    run(job)
    found = read_record(job.folder).embeddings
    assert found["source"]["found"] == 2
    (tmp_path / "vectors.txt").unlink()
    assert load(job.folder).translate(["0 1"])
    learnt: dict[str, Any] = {}
    train_model(job, config, build_task(config.data).read(), learnt)
    assert learnt["embeddings"] == found


def test_a_fingerprint_holds_the_content_and_not_the_place(tmp_path: Path) -> None:
    here, there, other = (tmp_path / name for name in ("here", "there", "other"))
    for folder in (here, there, other):
        folder.mkdir()
    configs = [configured(folder) for folder in (here, there, other)]
    (other / "vectors.txt").write_text(VECTORS.replace("8", "9"))
    first, second, third = (fingerprint(config) for config in configs)
    assert first == second != third


def test_weights_of_another_run_leave_no_room_for_vectors(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"model.encoder.embedding.path=.* changes nothing, because init_from"):
        configured(tmp_path, init_from="runs/other")
