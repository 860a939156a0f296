"""What can be trained as one of several replicas, and where that would gain nothing; no model is built."""

from __future__ import annotations

from collections.abc import Iterator

from seq2seq_lightning.config import Config
from seq2seq_lightning.data.bucketing import BatchUnit
from seq2seq_lightning.models.attention import (
    AdditiveAttentionConfig,
    DotAttentionConfig,
    GeneralAttentionConfig,
    ScaledDotAttentionConfig,
)
from seq2seq_lightning.models.cells import GRUConfig, LSTMConfig, RNNConfig
from seq2seq_lightning.models.decoder_config import Context, Copy, Query
from seq2seq_lightning.teacher_forcing.adaptive import AdaptiveConfig
from seq2seq_lightning.teacher_forcing.confidence import ConfidenceConfig
from seq2seq_lightning.teacher_forcing.feeding import FedBackToken, Granularity, Mechanism
from seq2seq_lightning.training.devices import device_named
from seq2seq_lightning.training.learning_rates import PlateauRateConfig
from seq2seq_lightning.training.objectives.maximum_likelihood import MaximumLikelihoodConfig
from seq2seq_lightning.training.optimizers import AdamConfig, AdamWConfig, SGDConfig
from seq2seq_lightning.training.settings import CSVLoggerConfig, NoLoggerConfig

CELLS: dict[type, int] = {LSTMConfig: 4, GRUConfig: 3, RNNConfig: 1}  # each with its gates
ATTENTIONS = (AdditiveAttentionConfig, DotAttentionConfig, GeneralAttentionConfig, ScaledDotAttentionConfig)
OPTIMIZERS = (AdamConfig, AdamWConfig, SGDConfig)
# What replicas gain by is the overhead of operations. Beyond these sizes an update is products and the reading of
# weights, which company makes no cheaper; docs/replicas.md has the measurements.
WEIGHTS = 320_000  # units² · layers · gates of a side
LARGEST = 640_000  # the same · sentences of an update
ALONE = "Leave replicas out, so that each seed is trained by itself"


def replica_problems(config: Config) -> list[str]:
    """Why this configuration cannot be trained as one of several replicas, or would not gain by it."""
    rules = (_of_cells, _of_decoder, _of_dropout, _of_feeding, _of_updates, _of_surroundings, _of_speed)
    return [f"{problem} {ALONE}." for rule in rules for problem in rule(config)]


def _of_cells(config: Config) -> Iterator[str]:
    model = config.model.completed()
    for side in (model.encoder, model.decoder):
        if type(side.cell) not in CELLS:
            name = getattr(side.cell, "name", side.cell)
            yield f"replicas are of lstm, gru and rnn cells, and this model has {name}."
    attends = model.decoder.context is Context.attention
    if attends and type(model.attention) not in ATTENTIONS:
        allowed = ", ".join(each().name for each in ATTENTIONS)
        yield f"replicas attend by {allowed}, and this model by {getattr(model.attention, 'name', model.attention)}."


def _of_decoder(config: Config) -> Iterator[str]:
    decoder, encoder = config.model.decoder, config.model.encoder
    if decoder.query is Query.between:
        yield "model.decoder.query=between has no form for replicas."
    if decoder.copy is not Copy.none:
        yield f"model.decoder.copy={decoder.copy.name} has no form for replicas."
    if decoder.coverage_loss:
        yield f"model.decoder.coverage_loss={decoder.coverage_loss} has no form for replicas."
    if encoder.pyramid:
        yield f"model.encoder.pyramid={encoder.pyramid} has no form for replicas."
    for name, side in (("encoder", encoder), ("decoder", decoder)):
        if side.embedding.path is not None:
            yield f"model.{name}.embedding.path is not read for replicas."


def _of_dropout(config: Config) -> Iterator[str]:
    for name, side in (("encoder", config.model.encoder), ("decoder", config.model.decoder)):
        for place in ("recurrent", "zoneout", "weight"):
            value = getattr(side.dropout, place)
            if value:
                yield f"model.{name}.dropout.{place}={value} acts inside of cells, which replicas share."


def _of_feeding(config: Config) -> Iterator[str]:
    feeding = config.teacher_forcing
    if isinstance(feeding, AdaptiveConfig | ConfidenceConfig):
        yield f"teacher_forcing={feeding.name} follows each model by itself."
    if feeding.granularity is Granularity.mixed:
        yield "teacher_forcing.granularity=mixed has no form for replicas."
    if feeding.fed_back is not FedBackToken.argmax:
        yield f"replicas feed back the most probable token, and teacher_forcing.fed_back is {feeding.fed_back.name}."
    if feeding.mechanism is Mechanism.parallel:
        yield "teacher_forcing.mechanism=parallel has no form for replicas."
    if feeding.tbptt is not None:
        yield f"teacher_forcing.tbptt={feeding.tbptt} has no form for replicas."


def _of_updates(config: Config) -> Iterator[str]:
    if type(config.objective) is not MaximumLikelihoodConfig:
        yield f"replicas are trained by maximum likelihood, and objective is {config.objective.name}."
    if type(config.optimizer) not in OPTIMIZERS:
        yield f"replicas are updated by adam, adamw or sgd, and optimizer is {config.optimizer.name}."
    if config.optimizer.ema is not None:
        yield f"optimizer.ema={config.optimizer.ema} has no form for replicas."
    if isinstance(config.learning_rate, PlateauRateConfig):
        yield "learning_rate=plateau follows each model by itself."
    if config.data.has_validation:
        yield "replicas are trained without validation, and this data has a validation split."
    if config.extend is not None:
        yield f"extend={config.extend} goes on with one run."
    if config.init_from is not None:
        yield f"init_from={config.init_from} is not read for replicas."
    if config.extend is not None:
        yield f"extend={config.extend} is not read for replicas."


def _of_surroundings(config: Config) -> Iterator[str]:
    trainer = config.trainer
    if device_named(trainer.accelerator).type != "cpu":
        yield "replicas are trained on the CPU: set trainer.accelerator=cpu."
    for key, allowed in (("devices", (1,)), ("accumulate", (1,)), ("precision", ("32-true", "64-true"))):
        if (value := getattr(trainer, key)) not in allowed:
            yield f"replicas need trainer.{key}={' or '.join(str(each) for each in allowed)}, and it is {value}."
    if trainer.extra:
        yield "trainer.extra is not passed on for replicas."
    if type(config.logger) not in (NoLoggerConfig, CSVLoggerConfig):
        yield f"logger={config.logger.name} follows one training per process."
    if any(side.tokenizer != side.tokenizer.without_chance() for side in (config.text.source, config.text.target)):
        yield "a tokenizer that cuts by chance has no form for replicas."
    if config.data.batching.unit is not BatchUnit.sentences:
        yield "data.batching.unit=tokens gives each seed another number of updates per epoch."
    if config.data.batching.workers:
        yield f"data.batching.workers={config.data.batching.workers} has no form for replicas."
    if config.data.batching.buffer:
        yield f"data.batching.buffer={config.data.batching.buffer}: seeds would read one stream in several orders."


def _of_speed(config: Config) -> Iterator[str]:
    model, sentences = config.model.completed(), config.data.batching.size
    sides = [(side.layers, side.hidden_size, CELLS.get(type(side.cell), 0)) for side in (model.encoder, model.decoder)]
    layers, units, gates = max(sides, key=lambda side: side[0] * side[1] ** 2 * side[2])
    weights = layers * units**2 * gates
    if weights > WEIGHTS or weights * sentences > LARGEST:
        yield (
            f"replicas at once would be slower than one after the other: with {layers} × {units} units "
            f"units² · layers · gates is {weights:,}, where they gain up to {WEIGHTS:,}, and {weights * sentences:,} "
            f"times data.batching.size={sentences}, where they gain up to {LARGEST:,}."
        )
