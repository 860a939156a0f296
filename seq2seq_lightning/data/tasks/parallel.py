"""Parallel text: two files in which line n of one is the translation of line n of the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from typing import Any

from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.data.tasks.files import FilesConfig, Policy, Sieve, check_test_names
from seq2seq_lightning.data.tasks.files_task import FilesTask, Maker
from seq2seq_lightning.data.tasks.reading import BadLine, content_hash, count_lines, raw_lines
from seq2seq_lightning.errors import ConfigurationError, DataError, nearest

SIDES = ("source", "target")


@dataclass
class FilePair:
    """Two files of equally many lines, plain or gzip."""

    source: str = ""
    target: str = ""


@dataclass
class ParallelConfig(FilesConfig):
    """Line-aligned files of UTF-8 text."""

    name: str = "parallel"
    train: FilePair = field(default_factory=FilePair)
    # without it no validation takes place
    val: FilePair | None = field(default_factory=FilePair)
    # any number of test sets by name: data.test.<name>.source, data.test.<name>.target; FilePairs, declared as Any
    # because Hydra cannot begin an entry of a typed dict from a dotted key
    test: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.test = {name: _file_pair(name, value) for name, value in self.test.items()}

    @property
    def has_validation(self) -> bool:
        """See ``DataConfig.has_validation``."""
        return self.val is not None and bool(self.val.source or self.val.target)


class ParallelTask(FilesTask):
    """Streams both files of each split side by side."""

    config: ParallelConfig
    files: Mapping[str, FilePair]

    def given(self) -> Mapping[str, FilePair]:
        """The files of each split, under ``train``, ``val`` and ``test.<name>``."""
        config = self.config
        check_test_names(config.test)
        files = {"train": config.train}
        if config.val is not None and (config.val.source or config.val.target):
            files["val"] = config.val
        files |= {f"test.{name}": pair for name, pair in config.test.items()}
        missing = [f"data.{split}.{side}" for split in files for side in SIDES if not getattr(files[split], side)]
        if missing:
            example = " ".join(f"{key}=corpus.{'en' if key.endswith('source') else 'de'}" for key in missing)
            raise ConfigurationError(f"`data=parallel` needs {', '.join(missing)}. For example: {example}")
        return files

    def named(self, split: str) -> str:
        """See ``FilesTask.named``."""
        return f"{self.files[split].source}, {self.files[split].target}"

    def makers(self, split: str, sieve: Sieve) -> Iterator[Maker]:
        """One maker of a pair per line."""
        return aligned(self.files[split], split, sieve)

    def identity(self) -> dict[str, str]:
        """The content of every file, `train.source` and so on, and how lines are chosen."""
        identity = self.config.reading_identity()
        for split, files in self.files.items():
            for side in SIDES:
                identity[f"{split}.{side}"] = content_hash(getattr(files, side), f"data.{split}.{side}")
        return identity


def _file_pair(name: str, value: Any) -> FilePair:
    """The two files of a test set from plain values."""
    if isinstance(value, FilePair):
        return value
    if not isinstance(value, Mapping):
        raise ConfigurationError(
            f"`data.test.{name}` is {value!r}, where two files are needed: "
            f"`data.test.{name}.source=…` and `data.test.{name}.target=…`."
        )
    for key in value:
        if key not in SIDES:
            raise ConfigurationError(f"`data.test.{name}.{key}` is no option. {nearest(str(key), SIDES)}")
    return FilePair(**value)


def aligned(files: FilePair, split: str, sieve: Sieve) -> Iterator[Maker]:
    """One maker of a pair per line; files that do not end together are an error, or the rest is left out."""
    keys = {side: f"data.{split}.{side}" for side in SIDES}
    lines = zip_longest(raw_lines(files.source, keys["source"]), raw_lines(files.target, keys["target"]))
    for number, (source, target) in enumerate(lines, start=1):
        if source is None or target is None:
            if sieve.config.bad_input.unpaired is Policy.error:
                raise _unequal(files, split, number)
            yield partial(_without_partner, files.source if target is None else files.target, number)
        else:
            yield partial(_pair, sieve, files, number, source, target)


def _unequal(files: FilePair, split: str, number: int) -> DataError:
    counts = [count_lines(getattr(files, side), f"data.{split}.{side}") for side in SIDES]
    return DataError(
        f"{files.source} has {counts[0]} lines but {files.target} has {counts[1]}; line n of one belongs to line n of "
        f"the other, and line {number} has no partner. Align the files of `data.{split}`; if they differ at their end "
        "only, `data.bad_input.unpaired=skip` leaves such lines out and counts them."
    )


def _without_partner(file: str, number: int) -> Pair:
    raise BadLine("unpaired", f"{file}:{number}: no line of the other file belongs to it. Align the files.")


def _pair(sieve: Sieve, files: FilePair, number: int, source: bytes, target: bytes) -> Pair:
    return Pair.of(
        sieve.text(source, f"{files.source}:{number}", "source"),
        sieve.text(target, f"{files.target}:{number}", "target"),
    )
