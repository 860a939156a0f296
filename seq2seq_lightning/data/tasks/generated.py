"""Pairs drawn by rule from a seed: sizes, lengths, held-out lengths, and what keeps evaluation apart from training."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import ClassVar

import torch
from torch import Tensor

from seq2seq_lightning.data.example import Corpus, Pair
from seq2seq_lightning.data.tasks.files import check_test_names
from seq2seq_lightning.data.tasks.task import DataConfig, Task
from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.randomness import uniforms

EVALUATED = 10  # one source of so many is kept for validation and test, where training and evaluation are kept apart
BLOCK = 4096  # rows drawn at once
PATIENCE = 200  # rows drawn for each one that is kept, before the search for more is given up


@dataclass
class GeneratedConfig(DataConfig):
    """How many pairs of which lengths; what a length counts, each task says."""

    train_size: int = 50000
    # 0: no such split
    val_size: int = 1000
    test_size: int = 1000
    train_min_length: int = 1
    train_max_length: int = 20
    evaluation_min_length: int = 1
    evaluation_max_length: int = 20
    # further test sets of `test_size` pairs, whose lengths training never has: data.held_out.<name>=[shortest,longest]
    held_out: dict[str, list[int]] = field(default_factory=dict)
    # seed of the corpus, not of a run; pair i of a split depends on it, on i, and on lengths and fields of its kind
    task_seed: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        leasts = {"train_size": 1, "val_size": 0, "test_size": 0, "train_min_length": 1, "evaluation_min_length": 1}
        for key, least in leasts.items():
            self._at_least(key, least)
        for part in ("train", "evaluation"):
            low, high = getattr(self, f"{part}_min_length"), getattr(self, f"{part}_max_length")
            if low > high:
                raise ConfigurationError(
                    f"`data.{part}_min_length={low}` is more than `data.{part}_max_length={high}`. "
                    f"Set `data.{part}_max_length={low}` or more."
                )
        self._check_held_out()

    def _at_least(self, key: str, least: int) -> None:
        if getattr(self, key) < least:
            raise ConfigurationError(f"`data.{key}` is {getattr(self, key)}; set it to {least} or more.")

    def _check_held_out(self) -> None:
        check_test_names(self.held_out, "held_out")
        for name, bounds in self.held_out.items():
            if name == "test" or len(bounds) != 2 or not 1 <= bounds[0] <= bounds[1]:
                raise ConfigurationError(
                    f"`data.held_out.{name}={bounds}` is no test set of its own: give it another name than `test`, and "
                    "its shortest and longest length, 1 or more: `data.held_out.longer=[21,40]`."
                )
            if bounds[0] <= self.train_max_length and bounds[1] >= self.train_min_length:
                raise ConfigurationError(
                    f"`data.held_out.{name}={bounds}` has lengths of the training, which go from "
                    f"{self.train_min_length} to {self.train_max_length}. Begin behind them: "
                    f"`data.held_out.{name}=[{self.train_max_length + 1},{self.train_max_length * 2}]`."
                )
        if self.held_out and not self.test_size:
            removals = " ".join(f"~data.held_out.{name}" for name in self.held_out)
            raise ConfigurationError(
                f"`data.held_out` names {', '.join(self.held_out)}, but `data.test_size=0` leaves it without pairs. "
                f"Set `data.test_size` to 1 or more, or remove them: {removals}"
            )

    @property
    def has_validation(self) -> bool:
        """See ``DataConfig.has_validation``."""
        return self.val_size > 0


class GeneratedTask(Task):
    """Draws each split from a stream of its own, so that splits do not depend on each other's sizes.

    A larger split begins with the pairs of a smaller one. Where ``APART`` is true, a source of the validation and test
    sets is never one of the training: a hash of its ``key`` decides on which side it may be drawn.
    """

    config: GeneratedConfig
    GENERATOR: ClassVar[int] = 1  # raise when the same fields give other pairs
    STREAM: ClassVar[str]  # names the random numbers of a kind of sources
    APART: ClassVar[bool] = True

    @abstractmethod
    def columns(self, longest: int) -> int:
        """How many random numbers a pair takes, beside that for its length."""

    @abstractmethod
    def pairs(self, lengths: list[int], draws: Tensor) -> Iterator[Pair]:
        """One pair per row; draws: (rows, columns), uniform in [0, 1)."""

    def key(self, pair: Pair) -> str:
        """What makes two pairs the same for a model that has seen one of them."""
        return pair.source

    def has_length(self, pair: Pair, low: int, high: int) -> bool:
        """Whether a pair is of the lengths asked for, where that shows only once it is drawn."""
        del pair, low, high
        return True

    def read(self) -> Corpus:
        """Generate the splits."""
        config = self.config
        evaluation = config.evaluation_min_length, config.evaluation_max_length
        train = self._draw("train", config.train_size, config.train_min_length, config.train_max_length)
        val = self._draw("val", config.val_size, *evaluation)
        test = {"test": self._draw("test", config.test_size, *evaluation)} if config.test_size else {}
        for name, (low, high) in config.held_out.items():
            test[name] = self._draw(f"held_out/{low}-{high}", config.test_size, low, high)
        return Corpus(train, val or None, test)

    def identity(self) -> dict[str, str]:
        """Every generating field and the version of the generator."""
        general = {each.name for each in fields(DataConfig)}
        own = [each.name for each in fields(self.config) if each.name not in general]
        said = {key: str(getattr(self.config, key)) for key in own if key != "held_out" or self.config.held_out}
        return {"task": self.config.name, "generator": str(self.GENERATOR)} | said

    def _draw(self, split: str, count: int, low: int, high: int) -> list[Pair]:
        """The first ``count`` rows of a stream that may stand in this split."""
        kept: list[Pair] = []
        for pair in self._rows(split, low, high, count):
            if len(kept) == count:
                break
            if self._belongs(pair, split, low, high):
                kept.append(pair)
        if len(kept) < count:
            raise DataError(
                f"`data={self.config.name}`: of {PATIENCE * count:,} sources of length {low} to {high} only "
                f"{len(kept)} may stand in `{split}`, where {count} are asked for. Allow more lengths or more "
                "different sources, or ask for fewer pairs."
            )
        return kept

    def _rows(self, split: str, low: int, high: int, count: int) -> Iterator[Pair]:
        """Pairs without end, nearly: row i takes row i of the stream, its length from the first number."""
        block = BLOCK if self.APART else count
        for start in range(0, PATIENCE * count if self.APART else count, max(block, 1)):
            places = torch.arange(start, start + block)
            draws = uniforms(self.config.task_seed, f"{self.STREAM}/{split}", 0, places, 1 + self.columns(high))
            lengths = (low + (draws[:, 0] * (high - low + 1)).long()).tolist()
            yield from self.pairs(lengths, draws[:, 1:])

    def _belongs(self, pair: Pair, split: str, low: int, high: int) -> bool:
        if not self.APART:
            return True
        if not self.has_length(pair, low, high):
            return False
        digest = sha256(f"{self.config.task_seed}/{self.key(pair)}".encode()).digest()
        return (int.from_bytes(digest[:8], "little") % EVALUATED == 0) is (split != "train")
