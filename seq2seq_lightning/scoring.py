"""Decodes and scores the test sets of a trained run, each once per decoding, into folders of their own."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from tqdm import tqdm

from seq2seq_lightning.config import Config
from seq2seq_lightning.crash_points import crash_point
from seq2seq_lightning.data.example import Corpus, Pair
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.decoding import DecodingConfig
from seq2seq_lightning.decoding.ensemble import Average
from seq2seq_lightning.experiments.files import read_json, write_json_durably
from seq2seq_lightning.experiments.fingerprint import fingerprint
from seq2seq_lightning.experiments.record import read_record
from seq2seq_lightning.experiments.scores import FILE_NAME, Score, Scores, read_scores, write_scores
from seq2seq_lightning.job import QUALITY, Job
from seq2seq_lightning.structure import to_plain
from seq2seq_lightning.trained import Trained, load_together
from seq2seq_lightning.training.attended import attended
from seq2seq_lightning.training.callbacks import write_progress
from seq2seq_lightning.training.checkpoint_index import read_index
from seq2seq_lightning.training.devices import device_named
from seq2seq_lightning.training.evaluation import Evaluation
from seq2seq_lightning.training.quality import describe_quality
from seq2seq_lightning.training.tracking import JobType, RunIdentity, is_tracking, log_scores, tracked_evaluation


def score(job: Job, config: Config, corpus: Corpus) -> dict[str, Scores]:
    """The scores of each test set by the configuration's decoding; by the job's further ones they are only written.

    What was scored before with a decoding and these metrics is read, not redone. What is missing of a test set is
    searched in one pass; a decoding that fails is raised when all others are written.
    """
    trained: Trained | None = None
    results, failures = {}, []
    for name, pairs in test_sets(config, corpus).items():
        if job.test_sets is not None and name not in job.test_sets:
            continue
        missing = [each for each in job.decodings() if not job.is_scored(each, name)]
        if missing:
            crash_point("scoring begin")
            trained = trained or _load(job, config)
            found = _decode(trained, config, missing, name, pairs, job)
            for decoding, evaluation in zip(missing, found, strict=True):
                if isinstance(evaluation, Exception):
                    failures.append((decoding, name, evaluation))
                else:
                    _write(job, config, decoding, name, pairs, evaluation, trained)
        own = job.scores_dir(config.decoding, name)
        if (own / FILE_NAME).exists():
            results[name] = read_scores(own)
    if failures:
        _raise(failures)
    return results


def _load(job: Job, config: Config) -> Trained:
    """The run, or it and others as one."""
    return load_together([job.folder, *job.members], Average[job.average], device_named(config.trainer.accelerator))


def _write(
    job: Job,
    config: Config,
    decoding: DecodingConfig,
    name: str,
    pairs: list[Pair],
    evaluation: Evaluation,
    trained: Trained,
) -> None:
    scores = _scores(job, decoding, name, pairs, evaluation, _checkpoint(trained, job))
    _add_carried_bits(scores, config)
    folder = job.scores_dir(decoding, name)
    attention = attended(trained.evaluator, pairs, evaluation.hypotheses)
    write_scores(folder, scores, _rows(pairs, evaluation, trained), attention)
    if evaluation.quality is not None:
        write_json_durably(folder / QUALITY, evaluation.quality.to_plain())
    if not is_tracking():
        with tracked_evaluation(config.logger, _evaluation_identity(job, config, decoding)):
            _track(config, scores, pairs, evaluation, attention)
    elif decoding == config.decoding:  # the training's own
        _track(config, scores, pairs, evaluation, attention)


def _raise(failures: list[tuple[DecodingConfig, str, Exception]]) -> NoReturn:
    """One failure as it is; of several, the first with what the others were."""
    decoding, name, error = failures[0]
    for other, test_set, reason in failures[1:]:
        error.add_note(f"{other.name} of {test_set} failed too: {reason}")
    error.add_note(f"This was decoding={decoding.name} of {name}.")
    raise error


def quality_lines(job: Job, test_sets: Iterable[str]) -> list[str]:
    """What the reports on the search say, one line per decoding and test set, where they were asked for."""
    if job.quality is None:
        return []
    decodings = job.decodings()
    told = [
        (decoding, describe_quality(name, read_json(job.scores_dir(decoding, name) / QUALITY)))
        for name in test_sets
        for decoding in decodings
    ]
    return [f"  {decoding.name} of{line[1:]}" if len(decodings) > 1 else line for decoding, line in told]


def test_sets(config: Config, corpus: Corpus) -> dict[str, list[Pair]]:
    """The task's test sets, and `train`: a fixed sample of distinct training pairs, where `data.train_sample` asks."""
    sets = dict(corpus.test)
    if config.data.train_sample:
        sets["train"] = corpus.train_sample(config.data.train_sample)
    return sets


def _decode(
    trained: Trained, config: Config, decodings: list[DecodingConfig], name: str, pairs: list[Pair], job: Job
) -> list[Evaluation | Exception]:
    quiet = not (config.trainer.progress and sys.stderr.isatty())
    searches = len(decodings) * (1 if job.quality is None else 2)
    with tqdm(total=len(pairs) * searches, desc=f"decoding {name}", unit=" sentences", disable=quiet) as bar:

        def on_progress(done: int, total: int) -> None:
            crash_point("scoring batch")
            bar.total = total
            bar.update(done - bar.n)
            write_progress(job.folder, f"decoding {name}", done, total)

        return trained.score_each(pairs, decodings, config.metrics, on_progress, job.quality)


def _checkpoint(trained: Trained, job: Job) -> dict[str, Any]:
    """What was scored: the updates done, and of a mean those after which each of its checkpoints was written; of an
    ensemble the fingerprints of the other members."""
    average = read_index(job.folder / "checkpoints").average
    scored: dict[str, Any] = {"global_step": trained.global_step} | (
        {} if average is None else {"averaged": average.global_steps}
    )
    if job.members:
        others = [read_record(Path(member)).fingerprint for member in job.members]
        scored |= {"ensemble_with": others, "average": job.average}
    return scored


def _scores(
    job: Job,
    decoding: DecodingConfig,
    name: str,
    pairs: list[Pair],
    evaluation: Evaluation,
    checkpoint: dict[str, Any],
) -> Scores:
    return Scores(
        decoding=to_plain(decoding),
        decoding_name=job.name_of(decoding),
        test_set=name,
        sentences=len(pairs),
        scores={metric: Score(each.value, each.signature or "", each.n) for metric, each in evaluation.scores.items()},
        by_source_length=evaluation.by_source_length,
        seconds=round(evaluation.seconds, 3),
        sentences_per_second=round(len(pairs) / max(evaluation.seconds, 1e-9), 1),
        checkpoint=checkpoint,
        references=evaluation.references,
    )


def _add_carried_bits(scores: Scores, config: Config) -> None:
    """H(target) − nll, where the task knows the first: bits of the source that reached the decoder, at the least.

    I(target; source) = H(target) − H(target | source), and no model's nll is below the last.
    """
    bits = build_task(config.data).target_bits if scores.test_set != "train" else None
    if bits is not None and "nll_bits" in scores.scores:
        seen = scores.scores["nll_bits"]
        scores.scores["carried_bits"] = Score(bits - seen.value, "H(target) − teacher-forced nll, bits", seen.n)


def _rows(pairs: list[Pair], evaluation: Evaluation, trained: Trained) -> Iterable[dict[str, Any]]:
    for pair, text, n_best in zip(pairs, evaluation.texts, evaluation.hypotheses, strict=True):
        best = n_best[0]
        row: dict[str, Any] = {"source": pair.source, "references": list(pair.references), "hypothesis": text}
        row |= {"source_length": len(trained.source.tokenize(pair.source))}
        row |= {"finished": best.finished, "log_prob": best.log_prob, "score": best.score}
        if len(n_best) > 1:
            row["n_best"] = [[trained.text(each, pair.source), each.score] for each in n_best]
        yield row


def _evaluation_identity(job: Job, config: Config, decoding: DecodingConfig) -> RunIdentity:
    """What a tracker is told about a decoding that is not scored by its training; its test sets make one run."""
    settings = to_plain(decoding)
    members = [Path(member).name for member in job.members]
    part = fingerprint({"decoding": settings, "members": members, "average": job.average}, digits=8)
    return RunIdentity(
        directory=job.folder,
        name=f"{config.name} {job.name_of(decoding)}",
        fingerprint=job.fingerprint,
        config=job.config | {"decoding": settings},
        overrides=job.overrides,
        group=config.group,
        monitor=None,
        mode="max",
        job_type=JobType.evaluate,
        part=part,
    )


def _track(
    config: Config, found: Scores, pairs: list[Pair], evaluation: Evaluation, attention: list[dict[str, Any]]
) -> None:
    """Final scores, samples and attention for the tracker, if a tracked run is open."""
    scores = {f"{found.test_set}/{metric}": each.value for metric, each in found.scores.items()}
    count = getattr(config.logger, "samples", 0)
    samples = [(pair.source, pair.target, text) for pair, text in zip(pairs[:count], evaluation.texts, strict=False)]
    log_scores(found.test_set, scores, samples, attention if getattr(config.logger, "attention", False) else [])
