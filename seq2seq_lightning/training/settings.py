"""The settings of Trainer, validation, checkpoints and trackers; without Lightning, so that `--help` is quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from seq2seq_lightning.decoding import DecodingConfig
from seq2seq_lightning.decoding.greedy import GreedyConfig
from seq2seq_lightning.errors import ConfigurationError, nearest

PRECISIONS = ("32-true", "64-true", "bf16-mixed", "16-mixed")
RESERVED_TRAINER_ARGUMENTS = [
    "accelerator",
    "accumulate_grad_batches",
    "callbacks",
    "check_val_every_n_epoch",
    "default_root_dir",
    "deterministic",
    "devices",
    "enable_checkpointing",
    "enable_model_summary",
    "enable_progress_bar",
    "gradient_clip_val",
    "limit_val_batches",
    "log_every_n_steps",
    "logger",
    "max_epochs",
    "max_steps",
    "num_nodes",
    "num_sanity_val_steps",
    "plugins",
    "precision",
    "strategy",
    "use_distributed_sampler",
    "val_check_interval",
]


class Accelerator(Enum):
    """Where to train: the GPU if there is one (`auto`), or as said."""

    auto = "auto"
    cpu = "cpu"
    gpu = "gpu"


class MatmulPrecision(Enum):
    """How float32 matrices are multiplied (`torch.set_float32_matmul_precision`)."""

    auto = "auto"  # the fastest way that this machine still computes in float32
    highest = "highest"
    high = "high"
    medium = "medium"


@dataclass
class TrainerConfig:
    """How long, on what, and how exactly to train."""

    max_steps: int | None = 2000  # optimiser updates; null: as many as max_epochs gives
    max_epochs: int | None = None  # passes over the training split; the smaller of the two limits holds
    devices: int = 1  # processes on each machine: CPU processes (gloo) or GPUs
    nodes: int = 1  # machines, on each of which the same command is started
    rendezvous: str | None = None  # with nodes above 1: host:port of one of them, where they meet
    accelerator: Accelerator = Accelerator.auto
    precision: str = "32-true"  # 32-true | 64-true | bf16-mixed | 16-mixed
    accumulate: int = 1  # micro-batches per update; the global batch stays as data.batching says
    threads: int | None = None  # CPU threads per process; null: the cores, shared among jobs that run at once
    matmul_precision: MatmulPrecision = (
        MatmulPrecision.auto
    )  # auto (float32, by the fastest road) | highest | high | medium
    deterministic: bool = False  # ask torch for deterministic kernels (GPU)
    log_every: int = 50  # updates between two entries of train/loss
    progress: bool = True  # a progress bar when the output is a terminal
    timeout_minutes: int = 10  # how long ranks wait for each other before the job fails
    extra: dict[str, Any] = field(default_factory=dict)  # further plain arguments of Lightning's Trainer

    def __post_init__(self) -> None:
        """Refuse limits that never end or never begin, and what `extra` may not set."""
        if self.max_steps is None and self.max_epochs is None:
            raise ConfigurationError("trainer.max_steps and trainer.max_epochs are both null: set one of them.")
        for key in (
            "max_steps",
            "max_epochs",
            "devices",
            "nodes",
            "accumulate",
            "threads",
            "log_every",
            "timeout_minutes",
        ):
            value = getattr(self, key)
            if isinstance(value, int) and value < 1:
                raise ConfigurationError(f"trainer.{key} is {value}; it must be at least 1.")
        self._check_rendezvous()
        if self.precision not in PRECISIONS:
            raise ConfigurationError(f"trainer.precision is {self.precision!r}. {nearest(self.precision, PRECISIONS)}")
        for key, value in (self.extra or {}).items() if isinstance(self.extra, dict) else ():
            if key in RESERVED_TRAINER_ARGUMENTS:
                raise ConfigurationError(f"trainer.extra.{key} is set by the framework; use its own option instead.")
            if not isinstance(value, bool | int | float | str | None):
                raise ConfigurationError(f"trainer.extra.{key} is {value!r}; only plain values can be passed on.")

    def _check_rendezvous(self) -> None:
        """Several machines need a place to meet, one machine has no use for it."""
        if self.nodes == 1 and self.rendezvous is not None:
            raise ConfigurationError(
                f"trainer.rendezvous={self.rendezvous} changes nothing, because trainer.nodes=1. "
                "Set trainer.nodes to the number of machines, or leave out trainer.rendezvous."
            )
        if self.nodes == 1 or not isinstance(self.nodes, int):
            return
        host, _, port = (self.rendezvous or "").rpartition(":")
        if not (host and port.isdigit()):
            raise ConfigurationError(
                f"trainer.nodes={self.nodes} needs trainer.rendezvous=host:port, an address of one of the machines at "
                f"which they meet, the same in all their commands; it is {self.rendezvous}."
            )

    @property
    def world_size(self) -> int:
        """The processes on all machines."""
        return self.devices * self.nodes


@dataclass
class ValidationConfig:
    """When to validate, by what, and when to stop."""

    every: int | None = None  # updates between validations; null: the updates of one epoch
    monitor: str = "val/loss"  # decides the best checkpoint, plateau and early stopping
    patience: int | None = None  # validations without improvement before training stops; null: never
    min_delta: float = 0.0  # what counts as an improvement
    metrics: list[str] = field(default_factory=lambda: ["exact_match"])  # scores of the decoded validation split
    sentences: int | None = None  # decode only the first so many; null: all
    free_running_loss: bool = True  # also the loss with the model's own tokens fed back
    diagnostics: bool = False  # also accuracies by position, with gold and with own tokens fed
    gradient_position: int | None = None  # also gradient norms by source distance, of this label's loss (1: the first)
    decoding: DecodingConfig = field(default_factory=GreedyConfig)

    def __post_init__(self) -> None:
        """Refuse intervals below one and a monitor that is no validation key."""
        for key in ("every", "patience", "sentences", "gradient_position"):
            value = getattr(self, key)
            if isinstance(value, int) and value < 1:
                raise ConfigurationError(f"validation.{key} is {value}; it must be at least 1, or null.")
        if not self.monitor.startswith("val/"):
            raise ConfigurationError(f"validation.monitor is {self.monitor!r}; it must be a key such as 'val/loss'.")


def validation_problems(config: ValidationConfig, has_validation: bool) -> list[str]:
    """What is asked of validations that never come."""
    if has_validation:
        return []
    asked = {
        "patience": "stops training after validations without improvement",
        "gradient_position": "follows gradients at validations",
        "diagnostics": "measures accuracies at validations",
    }
    defaults = ValidationConfig()
    return [
        f"validation.{key}={plain} {does}, but the data has no validation split. Give it one (such as data.val.source "
        f"and data.val.target), or set validation.{key}={_plain(getattr(defaults, key))}."
        for key, does in asked.items()
        if getattr(config, key) != getattr(defaults, key)
        for plain in [_plain(getattr(config, key))]
    ]


def _plain(value: int | bool | None) -> str:
    """As it is written in a configuration."""
    return "null" if value is None else str(value).lower()


class AfterScoring(Enum):
    """What becomes of the checkpoints of a finished run."""

    keep_best = "keep_best"
    keep_all = "keep_all"
    delete = "delete"


class AverageOf(Enum):
    """Which checkpoints are averaged: the newest, or those with the best validation scores."""

    last = "last"
    best = "best"


@dataclass
class CheckpointConfig:
    """How often to save, and what to keep."""

    every: int = 1000  # updates between checkpoints; each validation saves one too
    minutes: float = 10.0  # and never less often than this
    keep: int = 2  # the newest so many are kept, besides the best
    average: int = 1  # score the mean of so many checkpoints; 1: the best one itself
    average_of: AverageOf = AverageOf.last  # last | best (by validation.monitor)
    after_scoring: AfterScoring = AfterScoring.keep_best  # keep_best: the best one, without optimiser state

    def __post_init__(self) -> None:
        """Refuse intervals that never come, and averages of what is not kept or of one."""
        for key in ("every", "minutes", "keep", "average"):
            if isinstance(getattr(self, key), int | float) and getattr(self, key) <= 0:
                raise ConfigurationError(f"checkpoint.{key} is {getattr(self, key)}; it must be above 0.")
        if self.average_of is AverageOf.last and self.average > self.keep:
            raise ConfigurationError(
                f"checkpoint.average={self.average} asks for the mean of the last {self.average} checkpoints, but "
                f"checkpoint.keep={self.keep}. Set checkpoint.keep={self.average}, or checkpoint.average_of=best."
            )
        if self.average_of is AverageOf.best and self.average == 1:
            raise ConfigurationError(
                "checkpoint.average_of=best changes nothing, because checkpoint.average=1 scores the best checkpoint "
                "itself. Set checkpoint.average to the number of checkpoints, or leave out checkpoint.average_of."
            )


@dataclass
class LoggerConfig:
    """Where curves go besides `history.jsonl`, which is always written."""

    name: str = "none"


@dataclass
class NoLoggerConfig(LoggerConfig):
    """Only `history.jsonl`."""

    name: str = "none"


@dataclass
class CSVLoggerConfig(LoggerConfig):
    """The same entries as `history.csv` in the run directory."""

    name: str = "csv"


@dataclass
class TensorBoardLoggerConfig(LoggerConfig):
    """Event files in the run directory (needs the extra `tensorboard`)."""

    name: str = "tensorboard"


class WandbMode(Enum):
    """`auto`: online where an API key is configured, else offline."""

    auto = "auto"
    online = "online"
    offline = "offline"


@dataclass
class WandbLoggerConfig(LoggerConfig):
    """One Weights & Biases run per trial; offline unless a key is configured."""

    name: str = "wandb"
    project: str = "seq2seq_lightning"
    entity: str | None = None
    mode: WandbMode = WandbMode.auto
    tags: list[str] = field(default_factory=list)  # the overrides are added
    samples: int = 10  # rows of the table of sample outputs; 0: no table
    attention: bool = True  # pictures of the attention of a few outputs, where the model has one
    checkpoint: bool = False  # also keep the best checkpoint as an artifact
    timeout: float = 30.0  # seconds to wait for the server before tracking offline, and at the end for what is unsent

    def __post_init__(self) -> None:
        """Refuse a number of samples below zero, and not to wait at all."""
        if isinstance(self.samples, int) and self.samples < 0:
            raise ConfigurationError(f"logger.samples is {self.samples}; it must be at least 0.")
        if isinstance(self.timeout, int | float) and self.timeout <= 0:
            raise ConfigurationError(f"logger.timeout is {self.timeout}; it must be above 0 seconds.")


LOGGERS = [NoLoggerConfig, CSVLoggerConfig, TensorBoardLoggerConfig, WandbLoggerConfig]
