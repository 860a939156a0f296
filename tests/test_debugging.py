"""A look before a long training: the first batch alone, in a folder that goes away, and never a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from seq2seq_lightning.config import Config, Debug
from seq2seq_lightning.data.bucketing import plan_epoch
from seq2seq_lightning.data.example import encode_split
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.debugging import debugging_job, first_batch, report
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.files import append_jsonl
from seq2seq_lightning.job import Job
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from tests.terminal import SMALL, seq2seq

BATCH = {"size": 6, "sampling": "replacement", "curriculum_epochs": 2}
DATA = {"name": "reverse", "train_size": 40, "val_size": 9, "test_size": 3, "symbols": 5, "batching": BATCH}
PLAIN = {
    "data": DATA,
    "logger": {"name": "wandb"},
    "trainer": {"max_steps": 70},
    "validation": {"every": 900, "patience": 2, "sentences": 1, "metrics": ["bleu"]},
    "fresh": True,
}


def config(debug: Debug) -> Config:
    return replace(Config.from_plain(PLAIN), debug=debug)


@pytest.mark.parametrize(("debug", "updates", "every"), [(Debug.one_batch, 1, 1), (Debug.overfit, 70, 7)])
def test_the_job_is_small_untracked_and_nobodys_run(debug: Debug, updates: int, every: int, tmp_path: Path) -> None:
    job = debugging_job(config(debug), ["seed=1"], tmp_path)
    made = Config.from_plain(job.config)
    assert job.folder == tmp_path
    assert (made.debug, made.logger.name, made.fresh, job.test_sets) == (debug, "none", False, [])
    assert (made.trainer.max_steps, made.validation.every) == (updates, every)
    assert made.model == config(debug).model and made.optimizer == config(debug).optimizer


def test_one_update_may_be_one_before_the_rate_is_halved(tmp_path: Path) -> None:
    halving = {"name": "halve_after", "unit": "update", "after": 60.0, "every": 5.0}
    looked = replace(Config.from_plain({**PLAIN, "learning_rate": halving}), debug=Debug.one_batch)
    assert Config.from_plain(debugging_job(looked, [], tmp_path).config).learning_rate.name == "constant"


def test_overfitting_sees_the_same_rows_and_decodes_them_all(tmp_path: Path) -> None:
    made = Config.from_plain(debugging_job(config(Debug.overfit), [], tmp_path).config)
    assert (made.data.batching.sampling.name, made.data.batching.curriculum_epochs) == ("epochs", 0)
    assert (made.validation.metrics, made.validation.patience) == (["bleu", "exact_match"], None)
    assert made.validation.sentences is None


@pytest.mark.parametrize("debug", Debug)
def test_the_first_batch_is_that_of_the_first_update(debug: Debug, tmp_path: Path) -> None:
    made = Config.from_plain(debugging_job(config(debug), [], tmp_path).config)
    corpus = build_task(made.data).read()
    source = SourceCodec.build(made.text.source, (pair.source for pair in corpus.train))
    target = TargetCodec.build(made.text.target, (pair.target for pair in corpus.train))
    split = encode_split(corpus.train, source, target)
    rows = plan_epoch(split.source_lengths, split.label_lengths(True), made.data.batching, made.seed, 0)[0]
    found = first_batch(corpus, made, source, target)
    assert {pair.source for pair in found.train} == {corpus.train[row].source for row in rows}
    assert len(found.train) == len(set(rows.tolist())) <= 6
    expected = found.train if debug is Debug.overfit else corpus.val[: len(found.train)]  # type: ignore[index]
    assert found.val == expected


@pytest.mark.parametrize(
    ("debug", "exact", "words"),
    [
        (Debug.overfit, 100.0, "overfit: one batch is learnt exactly after 70 updates (train/loss 0.5, val/loss 0.25,"),
        (Debug.overfit, 99.9, "overfit: one batch is NOT learnt exactly after 70 updates"),
        (Debug.one_batch, 0.0, "one_batch: one update and one validation batch went through (train/loss 0.5"),
    ],
)
def test_the_report_says_what_was_seen(debug: Debug, exact: float, words: str, tmp_path: Path) -> None:
    for step, key, value in [(1, "train/loss", 9.0), (70, "train/loss", 0.5), (70, "val/loss", 0.25)]:
        append_jsonl(tmp_path / "history.jsonl", {"global_step": step, "key": key, "value": value})
    append_jsonl(tmp_path / "history.jsonl", {"global_step": 70, "key": "val/exact_match", "value": exact})
    assert report(debug, tmp_path).startswith(words)
    assert report(debug, tmp_path).endswith("Nothing was kept.")


def test_a_look_is_no_run() -> None:
    with pytest.raises(ConfigurationError, match=r"debug=overfit is a look at one run .* set debug=null"):
        Job.of(config(Debug.overfit), [])


@pytest.mark.slow
@pytest.mark.parametrize("devices", [1, pytest.param(2, marks=pytest.mark.very_slow)])
def test_one_batch_goes_through_the_command_and_leaves_nothing(devices: int, tmp_path: Path) -> None:
    ended = seq2seq("train", *SMALL, "debug=one_batch", f"trainer.devices={devices}", folder=tmp_path)
    assert ended.out.startswith("one_batch: one update and one validation batch went through (train/loss ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_one_batch_is_overfitted(tmp_path: Path) -> None:
    settings = [*SMALL, "model.decoder.hidden_size=64", "optimizer.learning_rate=0.01", "debug=overfit"]
    ended = seq2seq("train", *settings, "trainer.max_steps=200", folder=tmp_path)
    assert ended.out.startswith("overfit: one batch is learnt exactly after 200 updates")
    ended = seq2seq("train", *settings, "trainer.max_steps=1", folder=tmp_path)
    assert ended.out.startswith("overfit: one batch is NOT learnt exactly after 1 updates")


@pytest.mark.slow
def test_what_the_worker_refuses_is_told_once(tmp_path: Path) -> None:
    settings = ["data=parallel", "data.train.source=en", "data.train.target=fr", "debug=one_batch"]
    (tmp_path / "en").write_text("a red house\na car\n")
    (tmp_path / "fr").write_text("maison rouge une\n")
    ended = seq2seq("train", *settings, folder=tmp_path, status=2)
    assert ended.err.startswith("error: en has 2 lines but fr has 1") and ended.err.count("rror: ") == 1
