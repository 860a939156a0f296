"""The root configuration, the rules that span its groups, and the fingerprint that names a training.

Everything arrives here as plain values (from Hydra, from a run directory, from a checkpoint) and leaves as
dataclasses; after that line there is no DictConfig and no string that means a class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import Enum
from typing import Any

from seq2seq_lightning.data.cache import CacheUse
from seq2seq_lightning.data.tasks import TASKS, DataConfig, build_task
from seq2seq_lightning.data.tasks.reverse import ReverseConfig
from seq2seq_lightning.data.vectors import vectors_hash
from seq2seq_lightning.decoding import SEARCHES, DecodingConfig
from seq2seq_lightning.decoding.greedy import GreedyConfig
from seq2seq_lightning.errors import ConfigurationError, nearest
from seq2seq_lightning.experiments.fingerprint import fingerprint as hash_parts
from seq2seq_lightning.metrics import METRICS, MetricsConfig
from seq2seq_lightning.models.attention import ATTENTIONS, AttentionConfig
from seq2seq_lightning.models.bridges import BRIDGES, BridgeConfig
from seq2seq_lightning.models.cells import CELLS, CellConfig
from seq2seq_lightning.models.decoder_config import Context, Copy
from seq2seq_lightning.models.model_config import ModelConfig, check
from seq2seq_lightning.plugins import plugins_of
from seq2seq_lightning.structure import Families, differences, from_plain, to_plain
from seq2seq_lightning.teacher_forcing import SCHEDULES, TeacherForcingConfig, feeding_problems
from seq2seq_lightning.teacher_forcing.schedules import ConstantConfig
from seq2seq_lightning.text import TOKENIZERS
from seq2seq_lightning.text.sides import TextConfig
from seq2seq_lightning.text.tokenizers import TokenizerConfig
from seq2seq_lightning.training.decoding_rules import SearchedModel, decoding_problems
from seq2seq_lightning.training.extending import extended_record
from seq2seq_lightning.training.initial_weights import weights_hash
from seq2seq_lightning.training.learning_rates import (
    LEARNING_RATES,
    ConstantRateConfig,
    LearningRateConfig,
    length_problems,
)
from seq2seq_lightning.training.objectives import OBJECTIVES, ObjectiveConfig, Surroundings
from seq2seq_lightning.training.objectives.maximum_likelihood import MaximumLikelihoodConfig
from seq2seq_lightning.training.optimizers import OPTIMIZERS, AdamConfig, OptimizerConfig
from seq2seq_lightning.training.settings import (
    LOGGERS,
    CheckpointConfig,
    LoggerConfig,
    MatmulPrecision,
    NoLoggerConfig,
    TrainerConfig,
    ValidationConfig,
    validation_problems,
)

TRAINING_VERSION = 1  # raise by hand when the numerics of training change: finished runs then no longer count

FAMILIES: Families = {
    DataConfig: TASKS,
    TokenizerConfig: TOKENIZERS,
    CellConfig: CELLS,
    AttentionConfig: ATTENTIONS,
    BridgeConfig: BRIDGES,
    TeacherForcingConfig: SCHEDULES,
    ObjectiveConfig: OBJECTIVES,
    OptimizerConfig: OPTIMIZERS,
    LearningRateConfig: LEARNING_RATES,
    DecodingConfig: SEARCHES,
    LoggerConfig: LOGGERS,
}

TABLES = (*FAMILIES.values(), METRICS)  # whatever plug-ins may add to

# where a family sits in the configuration, for the schemas offered to Hydra: group → base class
GROUPS: dict[str, type] = {
    "data": DataConfig,
    "text/tokenizer": TokenizerConfig,
    "model/cell": CellConfig,
    "model/attention": AttentionConfig,
    "model/bridge": BridgeConfig,
    "teacher_forcing": TeacherForcingConfig,
    "objective": ObjectiveConfig,
    "optimizer": OptimizerConfig,
    "learning_rate": LearningRateConfig,
    "decoding": DecodingConfig,
    "logger": LoggerConfig,
}

# validation keys besides the metrics
LOSSES = ("loss", "perplexity", "teacher_forced_accuracy", "free_running_loss")


@dataclass
class PathsConfig:
    """Where things are written; never part of a run's identity."""

    runs: str = "runs"  # one folder per run: runs/<name>/<fingerprint>/
    cache: str | None = None  # encoded corpora, shared by all runs; null: $XDG_CACHE_HOME/seq2seq_lightning


class Debug(Enum):
    """A look before a long training."""

    overfit = "overfit"  # train and validate on the rows of one batch, and say whether they are learnt exactly
    one_batch = "one_batch"  # one update and one validation batch of the real size


@dataclass
class Config:
    """One run: everything that decides its numbers, and where they are written."""

    name: str = "run"  # the folder of this experiment under paths.runs
    seed: int = 1  # 0 is a seed like any other
    fresh: bool = False  # true: train again although this run is finished
    init_from: str | None = None  # a finished run, or a checkpoint, whose weights this one starts from; null: drawn
    extend: str | None = None  # a finished run of these settings, which this one trains on for longer; null: none
    debug: Debug | None = None  # overfit | one_batch: a look before a long training, of which nothing is kept
    group: str | None = None  # of the tracker; an ablation gives its own name
    data: DataConfig = field(default_factory=ReverseConfig)
    text: TextConfig = field(default_factory=TextConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    teacher_forcing: TeacherForcingConfig = field(default_factory=ConstantConfig)
    objective: ObjectiveConfig = field(default_factory=MaximumLikelihoodConfig)
    optimizer: OptimizerConfig = field(default_factory=AdamConfig)
    learning_rate: LearningRateConfig = field(default_factory=ConstantRateConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    decoding: DecodingConfig = field(default_factory=GreedyConfig)
    metrics: MetricsConfig = field(default_factory=MetricsConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    logger: LoggerConfig = field(default_factory=NoLoggerConfig)
    paths: PathsConfig = field(default_factory=PathsConfig)

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> Config:
        """Typed, and checked across groups. Raises ConfigurationError with all problems, one per line."""
        config = from_plain(Config, plain, FAMILIES)
        problems = list(_problems(config))
        if problems:
            raise ConfigurationError("\n".join(problems))
        return config

    def to_plain(self) -> dict[str, Any]:
        """Dicts, lists, strings, numbers: what is stored beside a run and inside a checkpoint."""
        return to_plain(self)

    @property
    def width(self) -> int:
        """The units of the widest layer."""
        return max(self.model.encoder.hidden_size, self.model.decoder.hidden_size)

    @property
    def searched_model(self) -> SearchedModel:
        """What decodings may need to know of the model."""
        return SearchedModel(
            attends=self.model.decoder.context is Context.attention,
            copies=self.model.decoder.copy is not Copy.none,
            pyramid=self.model.encoder.pyramid,
            ends=self.text.target.eos,
        )

    @property
    def monitored(self) -> str:
        """The name of the monitored validation score, without its split."""
        return self.validation.monitor.removeprefix("val/")


def _problems(config: Config) -> Iterator[str]:
    """The rules that span groups, each with what to do."""
    yield from check(config.model)
    if not config.name or config.name.startswith(".") or any(each in config.name for each in "/\\\0"):
        yield f"name is {config.name!r}; it names a folder: letters, digits, '-' and '_' serve best."
    for name in config.validation.metrics:
        if name not in METRICS:
            yield f"validation.metrics names {name!r}, which is no metric. {nearest(name, METRICS)}"
    allowed = [*LOSSES, *config.validation.metrics]
    if config.monitored not in allowed:
        keys = ", ".join(f"val/{name}" for name in allowed)
        yield f"validation.monitor is {config.validation.monitor!r}, which is not measured. Measured: {keys}."
    if config.monitored == "free_running_loss" and not config.validation.free_running_loss:
        yield "validation.monitor is 'val/free_running_loss': set validation.free_running_loss=true."
    yield from validation_problems(config.validation, config.data.has_validation)
    length = config.trainer.max_steps, config.trainer.max_epochs
    yield from length_problems(config.learning_rate, *length, config.data.has_validation)
    if config.data.batching.size < config.trainer.world_size * config.trainer.accumulate:
        nodes = "trainer.nodes × " if config.trainer.nodes > 1 else ""
        yield (
            f"data.batching.size is {config.data.batching.size}, less than {nodes}trainer.devices × trainer.accumulate "
            f"= {config.trainer.world_size * config.trainer.accumulate}: some device would have nothing to do."
        )
    if config.paths.cache is not None and config.data.cache is CacheUse.never:
        yield (
            f"paths.cache={config.paths.cache} changes nothing with data.cache=never. Set paths.cache=null, or "
            "data.cache=auto."
        )
    yield from feeding_problems(
        config.teacher_forcing,
        is_fusible=config.model.completed().is_fusible,
        copies=config.model.decoder.copy is not Copy.none,
        has_validation=config.data.has_validation,
        free_running_loss=config.validation.free_running_loss,
    )
    for side in ("encoder", "decoder"):
        path = getattr(config.model, side).embedding.path
        if path is not None and config.init_from is not None:
            yield (
                f"model.{side}.embedding.path={path} changes nothing, because init_from={config.init_from} gives every "
                f"weight. Set model.{side}.embedding.path=null, or init_from=null."
            )
    yield from decoding_problems(config.decoding, "decoding", config.searched_model)
    yield from decoding_problems(config.validation.decoding, "validation.decoding", config.searched_model)
    yield from _problems_of_copying(config)
    surroundings = Surroundings(
        is_plainly_fed=config.teacher_forcing == ConstantConfig(),
        writes_eos=config.text.target.eos,
        has_coverage_loss=config.model.decoder.coverage_loss > 0,
    )
    yield from config.objective.problems(surroundings)


def _problems_of_copying(config: Config) -> Iterator[str]:
    copy = config.model.decoder.copy
    if copy is Copy.none:
        return
    smoothing = getattr(config.objective, "label_smoothing", 0.0)
    if smoothing:
        yield (
            f"objective.label_smoothing={smoothing} shares probability among the words of a vocabulary, but with "
            f"model.decoder.copy={copy.value} each sentence has words of its own. Set objective.label_smoothing=0, or "
            "model.decoder.copy=none."
        )
    for side in ("source", "target"):
        if getattr(config.text, side).tokenizer.cuts_by_chance:
            yield (
                f"text.{side}.tokenizer cuts by chance in training, but model.decoder.copy={copy.value} copies words "
                f"as they are cut once. Leave out the tokenizer's dropout or alpha, or set model.decoder.copy=none."
            )


def fingerprint(config: Config) -> str:
    """Twelve hex digits that name a training: equal for equal numbers, whatever the paths, devices or decoding.

    Settings count where they differ from their defaults, so that options added later leave old names as they were;
    a default that changes raises TRAINING_VERSION.
    """
    trainer, batching = config.trainer, differences(config.data.batching)
    exactness = trainer.matmul_precision
    if exactness is MatmulPrecision.auto:
        exactness = MatmulPrecision.highest  # float32 on both roads; which one it is depends on the machine
    parts: dict[str, Any] = {
        "training_version": TRAINING_VERSION,
        "data": build_task(config.data).identity(),
        "batching": {key: batching[key] for key in batching if key not in ("workers", "evaluation_size")},
        "precision": [trainer.precision, exactness.name, trainer.extra],
        "length": [trainer.max_steps, trainer.max_epochs],
        "seed": config.seed,
        "monitored": to_plain(getattr(config.metrics, config.monitored, None)),
    }
    if config.init_from is not None:
        parts["initial_weights"] = weights_hash(config.init_from)
    if config.extend is not None:
        parts["extends"] = _extended(config, config.extend)
    parts["model"] = differences(config.model.completed())
    for side in ("encoder", "decoder"):
        path = getattr(config.model, side).embedding.path
        if path is not None:
            content = vectors_hash(path, f"model.{side}.embedding.path")
            parts["model"][side]["embedding"]["path"] = content
    groups = ("text", "teacher_forcing", "objective", "optimizer", "learning_rate", "validation")
    for group in groups:
        parts[group] = differences(getattr(config, group))
    for side in ("source", "target"):
        if files := getattr(config.text, side).tokenizer.files():
            parts["text"].setdefault(side, {}).setdefault("tokenizer", {}).update(files)
    saved = config.checkpoint
    if saved.average > 1:
        parts["averaged"] = [saved.average, saved.average_of.name, saved.every]
    deciding = [getattr(config, group) for group in ("data", "model", *groups)]
    plugins = plugins_of([config.monitored, *_components(deciding)], TABLES)  # their numerics are their version's
    return hash_parts(parts | ({"plugins": plugins} if plugins else {}))


def _extended(config: Config, extend: str) -> str:
    """The fingerprint of the run that is trained on for longer; refused where more than the length differs from it."""
    record = extended_record(extend, config.trainer.max_steps)
    before = from_plain(Config, record.config, FAMILIES)
    steps, epochs = before.trainer.max_steps, before.trainer.max_epochs
    as_long = replace(config, extend=before.extend, trainer=replace(config.trainer, max_steps=steps, max_epochs=epochs))
    if fingerprint(as_long) != record.fingerprint:
        one, other = differences(config), differences(before)
        groups = [each.name for each in fields(Config) if one.get(each.name) != other.get(each.name)]
        told = ", ".join(name for name in groups if name not in ("extend", "paths", "group", "logger", "name", "fresh"))
        raise ConfigurationError(
            f"extend={extend} was trained with other settings, in: {told}. Only trainer.max_steps, trainer.max_epochs "
            "and what is no part of a fingerprint may differ. Use its settings, or take its weights by init_from."
        )
    return record.fingerprint


def plugins_used(config: Config) -> dict[str, str]:
    """Distribution → version of the plug-ins whose components a configuration names: what record and checkpoint say."""
    names = [*config.metrics.report, *config.validation.metrics]
    return plugins_of([*names, *_components(config)], TABLES)


def _components(value: Any) -> Iterator[object]:
    """The class of every dataclass within, and the metric that an objective names."""
    if is_dataclass(value):
        yield type(value)
        if isinstance(value, ObjectiveConfig):
            yield getattr(value, "metric", None)
        yield from _components([getattr(value, each.name) for each in fields(value)])
    elif isinstance(value, list | tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _components(item)
