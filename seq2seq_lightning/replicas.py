"""Several seeds of one configuration trained at once; then each run is finished as any other is.

A run directory that was trained in company differs from any other by one entry of its record, `timings.replicas`: the
seeds that shared the process, whose seconds are those of all together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from seq2seq_lightning.config import Config, plugins_used
from seq2seq_lightning.data.example import Corpus, encode_split
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.files import lock
from seq2seq_lightning.experiments.ledger import State, lock_path, state_of
from seq2seq_lightning.experiments.scores import Scores
from seq2seq_lightning.job import Job
from seq2seq_lightning.recording import clear, recording_together
from seq2seq_lightning.replica_rules import replica_problems
from seq2seq_lightning.run import identity, plan, run
from seq2seq_lightning.trained import new_model, special_ids
from seq2seq_lightning.training.checkpoint_index import last_checkpoint
from seq2seq_lightning.training.codecs import training_codecs
from seq2seq_lightning.training.loggers import build_loggers
from seq2seq_lightning.training.module import TrainingModule
from seq2seq_lightning.training.replicas.checkpoints import common_step
from seq2seq_lightning.training.replicas.data import ReplicaLoader
from seq2seq_lightning.training.replicas.fitting import fit_together
from seq2seq_lightning.training.resuming import standing
from seq2seq_lightning.training.trainer import prepare_process


def run_together(jobs: Sequence[Job]) -> list[dict[str, Scores]]:
    """Train what is still to be trained of these jobs at once, then decode and score each: its scores by test set.

    The jobs differ in their seeds alone. Raises ConfigurationError where they cannot be trained together.
    """
    config = Config.from_plain(jobs[0].config)
    problems = replica_problems(config)
    if problems:
        raise ConfigurationError("\n".join(problems))
    prepare_process(config.trainer, config.width)
    with _held(jobs):
        if config.fresh:
            for job in jobs:
                clear(job.folder)
            jobs = [replace(job, config={**job.config, "fresh": False}) for job in jobs]
        for group in _groups([job for job in jobs if _is_to_be_fitted(job)]):
            task = build_task(config.data)
            corpus = task.read()
            with recording_together(group, corpus, task.identity()):
                train_replicas(group, corpus)
    return [run(job) for job in jobs]


@contextmanager
def _held(jobs: Sequence[Job]) -> Iterator[None]:
    """Hold all of these runs, always in the same order, so that no two commands wait for each other."""
    with ExitStack() as held:
        for folder in sorted(job.folder for job in jobs):
            held.enter_context(lock(lock_path(folder)))
        yield


def _is_to_be_fitted(job: Job) -> bool:
    return state_of(job.folder).state is not State.finished and standing(job.folder).timings is None


def _groups(jobs: Sequence[Job]) -> list[list[Job]]:
    """Which of these go on together: all where they have an update in common, otherwise those that have not begun."""
    if common_step([_checkpoints(job) for job in jobs]) is None:
        jobs = [job for job in jobs if last_checkpoint(_checkpoints(job)) is None]
    return [list(jobs)] if len(jobs) > 1 else []


def _checkpoints(job: Job) -> Path:
    return job.folder / "checkpoints"


def train_replicas(jobs: Sequence[Job], corpus: Corpus) -> None:
    """Train these from the newest update that they have in common."""
    configs = [Config.from_plain(job.config) for job in jobs]
    config = configs[0]
    texts = (pair.source for pair in corpus.train), (pair.target for pair in corpus.train)
    source, target = training_codecs(config.text, *texts, last_checkpoint(_checkpoints(jobs[0])))
    ids, split = special_ids(target), encode_split(corpus.train, source, target)
    vocabularies = {"source": source.to_plain(), "target": target.to_plain()}
    recipes = [plan(each, split) for each in configs]
    if len({(recipe.total_updates, recipe.updates_per_epoch) for recipe in recipes}) > 1:
        raise ConfigurationError(
            "These seeds have different numbers of updates, because their epochs are cut into batches differently. "
            "Set trainer.max_steps and data.batching without a token budget, or leave replicas out."
        )
    modules = [
        TrainingModule(
            new_model(each, source, target),
            recipe,
            ids,
            None,
            {"config": each.to_plain(), "vocabularies": vocabularies, "plugins": plugins_used(each)},
        )
        for each, recipe in zip(configs, recipes, strict=True)
    ]
    loader = ReplicaLoader(
        split,
        config.data.batching,
        ids,
        seeds=[each.seed for each in configs],
        updates=recipes[0].total_updates,
        target_eos=config.text.target.eos,
    )
    loggers = [build_loggers(config.logger, identity(job, each, None)) for job, each in zip(jobs, configs, strict=True)]
    fit_together(modules, loader, config.trainer, config.checkpoint, [job.folder for job in jobs], loggers)
