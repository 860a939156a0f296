"""A finished run that is trained on for longer is the longer run; what cannot be extended is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from seq2seq_lightning.config import PathsConfig, fingerprint
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.files import read_json, write_json_durably
from seq2seq_lightning.experiments.record import read_record
from seq2seq_lightning.job import Job
from seq2seq_lightning.run import run
from seq2seq_lightning.training.checkpoint_index import last_checkpoint
from seq2seq_lightning.training.checkpoints import read_checkpoint, strip_training
from tests.bits import same
from tests.training.tiny import Trained, tiny_config

SETTINGS: dict[str, Any] = {
    "model": {"encoder": {"embedding_size": 6, "hidden_size": 8, "dropout": {"embedding": 0.3}}},
    "optimizer": {"name": "adam", "ema": 0.9},
    "validation": {"every": 4},
    "checkpoint": {"after_scoring": "keep_all", "every": 3, "keep": 3},
}


def made(folder: Path, max_steps: int, extend: Path | None = None, **changes: Any) -> Trained:
    config = tiny_config(**{**SETTINGS, **changes, "trainer": {"max_steps": max_steps}})
    config = replace(config, extend=None if extend is None else str(extend), paths=PathsConfig(str(folder)))
    job = Job.of(config, [])
    run(job)
    return Trained(job.folder, config)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return made(tmp_path_factory.mktemp("short"), 8)


@pytest.mark.slow
def test_an_extended_run_is_the_longer_run(short: Trained, tmp_path: Path) -> None:
    longer = made(tmp_path, 16, extend=short.folder)
    whole = made(tmp_path, 16)
    assert longer.folder.name != whole.folder.name  # they were made otherwise, and say so
    assert longer.history == whole.history
    assert same(longer.weights, whole.weights)
    told = read_record(longer.folder).initial_weights
    assert told == {"extends": str(short.folder), "fingerprint": short.folder.name, "global_step": 8}
    assert last_checkpoint(short.folder / "checkpoints") == short.folder / "checkpoints" / "step-8.ckpt"
    again = made(tmp_path, 20, extend=longer.folder)
    assert read_record(again.folder).timings["updates"] == 20


@pytest.mark.slow
def test_what_cannot_be_extended_is_refused(short: Trained, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"made 8 updates, and trainer\.max_steps=8 asks for no more"):
        made(tmp_path, 8, extend=short.folder)
    with pytest.raises(ConfigurationError, match=r"other settings, in: .*optimizer.*Only trainer\.max_steps"):
        made(tmp_path, 16, extend=short.folder, optimizer={"name": "sgd"})
    with pytest.raises(ConfigurationError, match="is not the directory of a run"):
        made(tmp_path, 16, extend=tmp_path / "nowhere")
    plain = read_json(short.folder / "record.json")
    try:
        write_json_durably(short.folder / "record.json", plain | {"status": "interrupted"})
        with pytest.raises(ConfigurationError, match=r"is interrupted\. Finish it"):
            made(tmp_path, 16, extend=short.folder)
    finally:
        write_json_durably(short.folder / "record.json", plain)


@pytest.mark.slow
def test_a_run_without_its_states_or_ended_early_is_not_extended(tmp_path: Path) -> None:
    early = {**SETTINGS, "validation": {"every": 4, "patience": 1, "min_delta": 100.0}}
    stopped = made(tmp_path / "stopped", 16, **early)
    assert read_record(stopped.folder).timings["updates"] == 8
    with pytest.raises(ConfigurationError, match=r"ended by early stopping \(validation\.patience=1\) after 8 updates"):
        made(tmp_path, 20, extend=stopped.folder, **early)
    newest = last_checkpoint(stopped.folder / "checkpoints")
    assert newest is not None
    strip_training(newest)
    assert not read_checkpoint(newest).can_be_resumed
    with pytest.raises(ConfigurationError, match=r"no checkpoint with the optimiser's state.*keep_all"):
        made(tmp_path, 24, extend=stopped.folder, **early)


def test_an_option_that_is_not_used_names_no_run_otherwise() -> None:
    assert fingerprint(tiny_config()) == fingerprint(replace(tiny_config(), extend=None))
