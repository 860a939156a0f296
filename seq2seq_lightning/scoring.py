"""Decodes and scores the test sets of a trained run, each once per decoding, into folders of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tqdm import tqdm

from seq2seq_lightning.config import Config
from seq2seq_lightning.data.example import Corpus, Pair
from seq2seq_lightning.experiments.scores import Score, Scores, decoding_dir, read_scores, write_scores
from seq2seq_lightning.job import Job
from seq2seq_lightning.structure import to_plain
from seq2seq_lightning.trained import Trained, load
from seq2seq_lightning.training.callbacks import write_progress
from seq2seq_lightning.training.checkpoint_index import read_index
from seq2seq_lightning.training.devices import device_named
from seq2seq_lightning.training.evaluation import Evaluation
from seq2seq_lightning.training.loggers import log_scores


def score(job: Job, config: Config, corpus: Corpus) -> dict[str, Scores]:
    """The scores of each test set; what was scored before with this decoding and these metrics is read, not redone."""
    trained: Trained | None = None
    results = {}
    for name, pairs in test_sets(config, corpus).items():
        if job.test_sets is not None and name not in job.test_sets:
            continue
        folder = decoding_dir(job.folder, to_plain(config.decoding), name, to_plain(config.metrics))
        if not (folder / "scores.json").exists():
            trained = trained or load(job.folder, device_named(config.trainer.accelerator))
            evaluation = _decode(trained, config, name, pairs, job.folder)
            scores = _scores(config, name, pairs, evaluation, _checkpoint(trained, job.folder))
            write_scores(folder, scores, _rows(pairs, evaluation, trained))
            _track(config, name, pairs, evaluation)
        results[name] = read_scores(folder)
    return results


def test_sets(config: Config, corpus: Corpus) -> dict[str, list[Pair]]:
    """The task's test sets, and `train`: a fixed sample of distinct training pairs, where `data.train_sample` asks."""
    sets = dict(corpus.test)
    if config.data.train_sample:
        sets["train"] = corpus.train_sample(config.data.train_sample)
    return sets


def _decode(trained: Trained, config: Config, name: str, pairs: list[Pair], run_dir: Path) -> Evaluation:
    quiet = not (config.trainer.progress and sys.stderr.isatty())
    with tqdm(total=len(pairs), desc=f"decoding {name}", unit=" sentences", disable=quiet) as bar:

        def on_progress(done: int, total: int) -> None:
            bar.update(done - bar.n)
            write_progress(run_dir, f"decoding {name}", done, total)

        return trained.score(pairs, config.decoding, config.metrics, on_progress)


def _checkpoint(trained: Trained, run_dir: Path) -> dict[str, Any]:
    """What was scored: the updates done, and of a mean those after which each of its checkpoints was written."""
    average = read_index(run_dir / "checkpoints").average
    return {"global_step": trained.global_step} | ({} if average is None else {"averaged": average.global_steps})


def _scores(config: Config, name: str, pairs: list[Pair], evaluation: Evaluation, checkpoint: dict[str, Any]) -> Scores:
    return Scores(
        decoding=to_plain(config.decoding),
        decoding_name=config.decoding.name,
        test_set=name,
        sentences=len(pairs),
        scores={metric: Score(each.value, each.signature or "", each.n) for metric, each in evaluation.scores.items()},
        by_source_length=evaluation.by_source_length,
        seconds=round(evaluation.seconds, 3),
        sentences_per_second=round(len(pairs) / max(evaluation.seconds, 1e-9), 1),
        checkpoint=checkpoint,
        references=evaluation.references,
    )


def _rows(pairs: list[Pair], evaluation: Evaluation, trained: Trained) -> Iterable[dict[str, Any]]:
    for pair, text, n_best in zip(pairs, evaluation.texts, evaluation.hypotheses, strict=True):
        best = n_best[0]
        row: dict[str, Any] = {"source": pair.source, "references": list(pair.references), "hypothesis": text}
        row |= {"finished": best.finished, "log_prob": best.log_prob, "score": best.score}
        if len(n_best) > 1:
            row["n_best"] = [[trained.text(each, pair.source), each.score] for each in n_best]
        yield row


def _track(config: Config, name: str, pairs: list[Pair], evaluation: Evaluation) -> None:
    """Final scores and samples for the tracker, if a tracked run is open."""
    scores = {f"{name}/{metric}": each.value for metric, each in evaluation.scores.items()}
    count = getattr(config.logger, "samples", 0)
    samples = [(pair.source, pair.target, text) for pair, text in zip(pairs[:count], evaluation.texts, strict=False)]
    log_scores(scores, samples)
