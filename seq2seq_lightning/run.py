"""The story on one page: configuration → task → model → fit → search → score → record."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from seq2seq_lightning.config import Config, plugins_used
from seq2seq_lightning.data.cache import Cache, CacheUse
from seq2seq_lightning.data.epochs import Epochs
from seq2seq_lightning.data.example import Corpus, Parts, encode_split
from seq2seq_lightning.data.recutting import Recutting
from seq2seq_lightning.data.stored_split import Codecs
from seq2seq_lightning.data.streaming import StreamedSplit
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.debugging import first_batch
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.files import lock
from seq2seq_lightning.experiments.ledger import State, lock_path, state_of
from seq2seq_lightning.experiments.scores import Scores
from seq2seq_lightning.job import Job
from seq2seq_lightning.models.decoder_config import Tie
from seq2seq_lightning.recording import clear, recording
from seq2seq_lightning.scoring import score
from seq2seq_lightning.text.copying import Copying
from seq2seq_lightning.trained import Trained, load, new_model, special_ids
from seq2seq_lightning.training.checkpoint_index import best_checkpoint
from seq2seq_lightning.training.checkpoints import tidy
from seq2seq_lightning.training.codecs import training_codecs
from seq2seq_lightning.training.datamodule import Seq2SeqDataModule
from seq2seq_lightning.training.devices import device_named
from seq2seq_lightning.training.feeding import manner
from seq2seq_lightning.training.initial_weights import initial_checkpoint, start_from
from seq2seq_lightning.training.loggers import build_loggers
from seq2seq_lightning.training.module import Recipe, TrainingModule
from seq2seq_lightning.training.pretrained_embeddings import embed_from_files, read_found
from seq2seq_lightning.training.ranks import is_first_rank, told_by_first_rank
from seq2seq_lightning.training.resuming import standing
from seq2seq_lightning.training.settings import validation_problems
from seq2seq_lightning.training.tracking import RunIdentity, log_checkpoint
from seq2seq_lightning.training.trainer import fit, prepare_process
from seq2seq_lightning.training.validation import Validation


def run(job: Job) -> dict[str, Scores]:
    """Train if that is still to do, then decode and score each test set; the scores by test set (on rank 0).

    A second process that asks for the same training waits for its lock, and then finds it done.
    """
    config = Config.from_plain(job.config)
    prepare_process(config.trainer, config.width)
    task = build_task(config.data)
    corpus = task.read()
    if job.train:
        with lock(lock_path(job.folder)) if is_first_rank() else nullcontext():
            if told_by_first_rank("is training to be done?", lambda: _is_to_be_trained(job, config)):
                decided_by = task.identity()
                cache = Cache.at(config.paths.cache, config.data.cache, decided_by)
                with recording(job, corpus, decided_by) as learnt:
                    train_model(job, config, corpus, learnt, cache)
                    if is_first_rank():
                        score(job, config, corpus)
                        if getattr(config.logger, "checkpoint", False):
                            log_checkpoint(best_checkpoint(job.folder / "checkpoints"), job.fingerprint)
                        tidy(job.folder / "checkpoints", config.checkpoint.after_scoring)
    scores = score(job, config, corpus) if is_first_rank() else {}
    told_by_first_rank("is all scored?", lambda: True)  # ranks end together, on whatever machine they are
    return scores


def _is_to_be_trained(job: Job, config: Config) -> bool:
    if config.fresh:
        clear(job.folder)
    return state_of(job.folder).state is not State.finished


def train(config: Config) -> Trained:
    """Train and score this configuration here, or find it finished; the trained run, ready to translate.

    Raises ConfigurationError and DataError before anything is trained.
    """
    job = Job.of(config, [])
    run(job)
    return load(job.folder)


def train_model(job: Job, config: Config, corpus: Corpus, learnt: dict[str, Any], cache: Cache | None = None) -> None:
    """Build vocabularies, model and batches in the order of the data, and fit; resumes where it was interrupted.

    cache: where the ids of large training splits are kept; without one they are in memory.
    """
    before = standing(job.folder, config.extend)
    is_new = before.checkpoint is None
    earlier = initial_checkpoint(config.init_from) if is_new and config.init_from is not None else before.checkpoint
    texts = (pair.source for pair in corpus.train), (pair.target for pair in corpus.train)
    source, target = training_codecs(config.text, *texts, earlier, config.model.decoder.tie is Tie.all)
    ids = special_ids(target)
    model = new_model(config, source, target)
    vocabularies = {"source": source.vocabulary, "target": target.vocabulary}
    learnt["embeddings"] = (
        embed_from_files(model, config.model, vocabularies, job.folder) if is_new else read_found(job.folder)
    )
    if is_new and config.init_from is not None:
        start_from(config.init_from, model, vocabularies)
    if config.debug is not None:
        corpus, cache = first_batch(corpus, config, source, target), None
    cache = cache or Cache.at(None, CacheUse.never, {})
    codecs, buffer = Codecs(source, target, model.copies), config.data.batching.buffer
    split = StreamedSplit(corpus.train, codecs, buffer) if buffer else cache.encode(corpus.train, codecs)
    val = encode_split(corpus.val, source, target, model.copies) if corpus.val else None
    validation = (
        Validation(config.validation, config.metrics, corpus.val, Copying(source, target), ids) if corpus.val else None
    )
    for problem in validation_problems(config.validation, has_validation=validation is not None):  # now it is known
        raise ConfigurationError(problem)
    recipe = plan(config, split)
    stored = {"config": config.to_plain(), "vocabularies": {"source": source.to_plain(), "target": target.to_plain()}}
    stored["plugins"] = plugins_used(config)
    module = TrainingModule(model, recipe, ids, validation, stored)
    data = Seq2SeqDataModule(
        split,
        val,
        config.data.batching,
        ids,
        seed=config.seed,
        accumulate=config.trainer.accumulate,
        updates=recipe.total_updates,
        target_eos=config.text.target.eos,
        recutting=Recutting.asked_for(source, target, config.seed),
    )
    device = device_named(config.trainer.accelerator)
    learnt["mechanism"] = manner(config.teacher_forcing, model.decoder.is_fusible, device).mechanism
    learnt["parameters"] = sum(parameter.numel() for parameter in model.parameters())
    if before.timings is not None:
        learnt["timings"] = before.timings
        return
    loggers = build_loggers(config.logger, identity(job, config, validation))
    learnt["timings"] = fit(module, data, config.trainer, config.checkpoint, job.folder, loggers, before.checkpoint)


def plan(config: Config, split: Parts) -> Recipe:
    """The recipe with its length: the smaller of trainer.max_steps and trainer.max_epochs, in updates."""
    batching = config.data.batching
    epochs = Epochs(split, batching, config.seed, config.text.target.eos)
    limits = [] if config.trainer.max_steps is None else [config.trainer.max_steps]
    if config.trainer.max_epochs is not None:
        limits.append(sum(epochs.batches(epoch) for epoch in range(config.trainer.max_epochs)))
    return Recipe(
        teacher_forcing=config.teacher_forcing,
        objective=config.objective,
        optimizer=config.optimizer,
        learning_rate=config.learning_rate,
        seed=config.seed,
        total_updates=min(limits),
        # of the epochs that most are like
        updates_per_epoch=epochs.batches(batching.curriculum_epochs),
        log_every=config.trainer.log_every,
    )


def identity(job: Job, config: Config, validation: Validation | None) -> RunIdentity:
    """What trackers are told."""
    return RunIdentity(
        directory=job.folder,
        name=config.name,
        fingerprint=job.fingerprint,
        config=job.config,
        overrides=job.overrides,
        group=config.group,
        monitor=config.validation.monitor if validation else None,
        mode=validation.mode if validation else "min",
    )
