"""What every task that reads users' files does with its splits; each says how one of them becomes pairs."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from seq2seq_lightning.data.example import Corpus, Pair, Pairs
from seq2seq_lightning.data.tasks.files import FilesConfig, Sieve
from seq2seq_lightning.data.tasks.task import Task
from seq2seq_lightning.errors import ConfigurationError, nearest

Maker = Callable[[], Pair]  # gives its pair, or raises BadLine


class FilesTask(Task):
    """Reads what is given for ``train``, ``val`` and each ``test.<name>``, one after the other."""

    config: FilesConfig
    files: Mapping[str, Any]  # split → what it is read from; each task has a type of its own

    def __init__(self, config: FilesConfig) -> None:
        super().__init__(config)
        self.files = self.given()
        _check_splits(config, self.files)

    @abstractmethod
    def given(self) -> Mapping[str, Any]:
        """What each split is read from. Raises ConfigurationError where something needed is not given."""

    @abstractmethod
    def makers(self, split: str, sieve: Sieve) -> Iterator[Maker]:
        """One maker of a pair per line, from the first line on at each call."""

    @abstractmethod
    def named(self, split: str) -> str:
        """What a split is read from, for messages."""

    def read(self) -> Corpus:
        """Every split; a bad line is an error or left out, as `data.bad_input` says."""
        skipped: Counter[str] = Counter()
        splits: dict[str, list[Pair]] = {}
        train: Pairs = []
        for split in self.files:
            sieve = Sieve(self.config, split)
            makers = partial(self.makers, split, sieve)
            if split == "train":
                train = sieve.stream(makers, self.named(split))
            else:
                splits[split] = sieve.pairs(makers, self.named(split))
            skipped += sieve.skipped
        test = {split.removeprefix("test."): pairs for split, pairs in splits.items() if split.startswith("test.")}
        return Corpus(train, splits.get("val"), test, dict(skipped))


def _check_splits(config: FilesConfig, splits: Mapping[str, Any]) -> None:
    """The splits whose pairs are joined exist; `test` names all test sets, `val` may be left away."""
    allowed = {"train", "val", "test", *splits}
    for name in config.concatenate_splits:
        if name not in allowed:
            raise ConfigurationError(f"`data.concatenate_splits` names {name!r}. {nearest(name, allowed)}")
