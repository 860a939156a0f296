"""Random sequences of numbers with an answer by rule: what `reverse` and `copy` have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch

from seq2seq_lightning.data.example import Corpus, Pair
from seq2seq_lightning.data.tasks.task import DataConfig, Task
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.randomness import uniforms

GENERATOR_VERSION = 1  # raise when the same fields give other pairs


@dataclass
class SymbolsConfig(DataConfig):
    """Sequences of the numbers 0 … symbols - 1, their length uniform between two bounds.

    The defaults are those of Joey NMT's reverse task (scripts/generate_reverse_task.py): evaluation is longer than
    training by up to five symbols.
    """

    train_size: int = 50000
    # 0: no such split
    val_size: int = 1000
    test_size: int = 1000
    symbols: int = 50
    train_min_length: int = 1
    train_max_length: int = 25
    evaluation_min_length: int = 1
    evaluation_max_length: int = 30
    # seed of the corpus, not of a run; pair i of a split depends on it, on i, and on the symbols and lengths above
    task_seed: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        leasts = {"train_size": 1, "val_size": 0, "test_size": 0, "symbols": 1}
        leasts |= {"train_min_length": 1, "evaluation_min_length": 1}
        for key, least in leasts.items():
            if getattr(self, key) < least:
                raise ConfigurationError(f"`data.{key}` is {getattr(self, key)}; set it to {least} or more.")
        for part in ("train", "evaluation"):
            low, high = getattr(self, f"{part}_min_length"), getattr(self, f"{part}_max_length")
            if low > high:
                raise ConfigurationError(
                    f"`data.{part}_min_length={low}` is more than `data.{part}_max_length={high}`. "
                    f"Set `data.{part}_max_length={low}` or more."
                )

    @property
    def has_validation(self) -> bool:
        """See ``DataConfig.has_validation``."""
        return self.val_size > 0


class SymbolsTask(Task):
    """Draws the sources of each split from a stream of its own, so that splits do not depend on each other's sizes.

    A larger split begins with the pairs of a smaller one.
    """

    config: SymbolsConfig
    IDENTIFYING: ClassVar[tuple[str, ...]] = (
        "train_size",
        "val_size",
        "test_size",
        "symbols",
        "train_min_length",
        "train_max_length",
        "evaluation_min_length",
        "evaluation_max_length",
        "task_seed",
    )

    @abstractmethod
    def answer(self, symbols: list[str]) -> list[str]:
        """The target of a source."""

    def read(self) -> Corpus:
        """Generate the splits."""
        config = self.config
        evaluation = config.evaluation_min_length, config.evaluation_max_length
        train = self._draw("train", config.train_size, config.train_min_length, config.train_max_length)
        val = self._draw("val", config.val_size, *evaluation)
        test = self._draw("test", config.test_size, *evaluation)
        return Corpus(train, val or None, {"test": test} if test else {})

    def identity(self) -> dict[str, str]:
        """Every generating field and the version of the generator."""
        fields = {key: str(getattr(self.config, key)) for key in self.IDENTIFYING}
        return {"task": self.config.name, "generator": str(GENERATOR_VERSION)} | fields

    def _draw(self, split: str, count: int, low: int, high: int) -> list[Pair]:
        """Pair i takes row i of the stream: its length from the first number, its symbols from the others."""
        draws = uniforms(self.config.task_seed, f"symbols/{split}", 0, torch.arange(count), 1 + high)
        lengths = (low + (draws[:, 0] * (high - low + 1)).long()).tolist()
        rows = (draws[:, 1:] * self.config.symbols).long().tolist()
        return [self._pair([str(number) for number in row[:n]]) for row, n in zip(rows, lengths, strict=True)]

    def _pair(self, symbols: list[str]) -> Pair:
        return Pair.of(" ".join(symbols), " ".join(self.answer(symbols)))
