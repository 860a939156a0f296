"""A look before a long training (`debug`): does everything go through, and can the model learn what it is shown?"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from seq2seq_lightning.config import Config, Debug
from seq2seq_lightning.data.bucketing import Sampling
from seq2seq_lightning.data.epochs import Epochs
from seq2seq_lightning.data.example import Corpus, rows_of
from seq2seq_lightning.data.stored_split import Codecs
from seq2seq_lightning.data.streaming import parts_of
from seq2seq_lightning.experiments.files import read_jsonl
from seq2seq_lightning.experiments.record import HISTORY_NAME
from seq2seq_lightning.job import Job
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.training.learning_rates import ConstantRateConfig, length_problems
from seq2seq_lightning.training.settings import NoLoggerConfig

EXACT = "exact_match"


def debugging_job(config: Config, overrides: list[str], folder: Path) -> Job:
    """The job of a debug run: in a folder that is nobody's run, without tracker and test sets."""
    small = _one_update(config) if config.debug is Debug.one_batch else _many_updates(config)
    job = Job.of(replace(small, debug=None), overrides)
    return replace(job, run_dir=str(folder), config=small.to_plain(), test_sets=[])


def _one_update(config: Config) -> Config:
    trainer = replace(config.trainer, max_steps=1, max_epochs=None, log_every=1)
    comes_later = length_problems(config.learning_rate, max_steps=1, max_epochs=None)  # whatever the rate does, then
    return replace(
        config,
        trainer=trainer,
        learning_rate=ConstantRateConfig() if comes_later else config.learning_rate,
        validation=replace(config.validation, every=1),
        logger=NoLoggerConfig(),
        fresh=False,
    )


def _many_updates(config: Config) -> Config:
    """Every update sees the same rows, and ten times they are decoded; nothing stops before the end."""
    updates = config.trainer.max_steps or config.trainer.max_epochs or 1
    metrics = list(dict.fromkeys([*config.validation.metrics, EXACT]))
    validation = replace(config.validation, every=max(1, updates // 10), metrics=metrics, patience=None, sentences=None)
    batching = replace(config.data.batching, sampling=Sampling.epochs, curriculum_epochs=0)
    return replace(
        config,
        trainer=replace(config.trainer, log_every=1),
        data=replace(config.data, batching=batching),
        validation=validation,
        logger=NoLoggerConfig(),
        fresh=False,
    )


def first_batch(corpus: Corpus, config: Config, source: SourceCodec, target: TargetCodec) -> Corpus:
    """The rows of the first update, and as many to validate on; `overfit` validates on those it trains on."""
    batching = config.data.batching
    parts = parts_of(corpus.train, Codecs(source, target), batching.buffer)
    rows = Epochs(parts, batching, config.seed, config.text.target.eos).plan(0)[0]
    train = rows_of(corpus.train, sorted(set(rows.tolist())))
    if config.debug is Debug.overfit:
        return replace(corpus, train=train, val=train)
    return replace(corpus, train=train, val=corpus.val[: len(train)] if corpus.val else None)


def report(debug: Debug, folder: Path) -> str:
    """What the debug run in this folder has shown."""
    last = {entry["key"]: entry for entry in read_jsonl(folder / HISTORY_NAME)}
    values = ", ".join(
        f"{key} {last[key]['value']:.4g}" for key in ("train/loss", "val/loss", f"val/{EXACT}") if key in last
    )
    updates = last["train/loss"]["global_step"]
    if debug is Debug.one_batch:
        validated = "and one validation batch went" if "val/loss" in last else "went (there is no validation split)"
        return f"one_batch: one update {validated} through ({values}). Nothing was kept."
    if last[f"val/{EXACT}"]["value"] == 100.0:
        return f"overfit: one batch is learnt exactly after {updates} updates ({values}). Nothing was kept."
    return (
        f"overfit: one batch is NOT learnt exactly after {updates} updates ({values}). If more updates "
        "(trainer.max_steps), a higher learning rate and no dropout do not help, the model cannot see what it needs: "
        "look at the context, the bridge, the longest output allowed and the vocabularies. Nothing was kept."
    )
