"""What every task offers, and what the configuration says about any of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from seq2seq_lightning.data.bucketing import BatchingConfig
from seq2seq_lightning.data.cache import CacheUse
from seq2seq_lightning.data.example import Corpus
from seq2seq_lightning.errors import ConfigurationError


@dataclass
class DataConfig:
    """Which task is learnt and how its rows become batches; each task is a subclass with its own fields."""

    name: str = ""
    batching: BatchingConfig = field(default_factory=BatchingConfig)
    # how many distinct training pairs are scored as the set `train`: 0 = none
    train_sample: int = 0
    # where the ids of the training split are kept: auto (100,000 pairs or more from files: in the cache, `paths.cache`;
    # else in memory) | always (in the cache) | never
    cache: CacheUse = CacheUse.auto

    def __post_init__(self) -> None:
        if self.train_sample < 0:
            raise ConfigurationError(
                f"`data.train_sample` is {self.train_sample}; set it to 0 (training pairs are not scored) or more."
            )
        if self.batching.buffer and self.cache is CacheUse.always:
            raise ConfigurationError(
                f"`data.batching.buffer={self.batching.buffer}` streams the training split, so nothing of it is kept, "
                "but `data.cache=always`. Leave out the cache, or set `data.batching.buffer=0`."
            )

    @property
    def has_validation(self) -> bool:
        """Whether there is a validation split, as far as the settings tell."""
        return True


class Task(ABC):
    """A corpus by rule or from files."""

    def __init__(self, config: DataConfig) -> None:
        self.config = config

    @abstractmethod
    def read(self) -> Corpus:
        """The pairs of every split."""

    @property
    def target_bits(self) -> float | None:
        """The entropy of a target of the test sets, in bits, where the rule that makes them tells; else None."""
        return None

    @abstractmethod
    def identity(self) -> dict[str, str]:
        """What decides the pairs, for a run's fingerprint: generating fields, or the content of files, never a path."""
