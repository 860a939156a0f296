"""Parallel text: two files in which line n of one is the translation of line n of the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import zip_longest
from typing import Any

from seq2seq_lightning.data.example import Corpus, Pair
from seq2seq_lightning.data.tasks.files import FilesConfig, Sieve, check_test_names
from seq2seq_lightning.data.tasks.reading import content_hash, count_lines, raw_lines
from seq2seq_lightning.data.tasks.task import Task
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


class ParallelTask(Task):
    """Streams both files of each split side by side."""

    config: ParallelConfig

    def __init__(self, config: ParallelConfig) -> None:
        super().__init__(config)
        self.files = _given(config)

    def read(self) -> Corpus:
        """Every split; a pair with a bad line on either side is an error or left out, as `data.bad_input` says."""
        skipped: Counter[str] = Counter()
        splits: dict[str, list[Pair]] = {}
        for split, files in self.files.items():
            sieve = Sieve(self.config, split.replace(".", "/"))
            makers, names = partial(_makers, sieve, files, f"data.{split}"), f"{files.source}, {files.target}"
            if split == "train":
                train = sieve.stream(makers, names)
            else:
                splits[split] = sieve.pairs(makers, names)
            skipped += sieve.skipped
        test = {name: splits[f"test.{name}"] for name in self.config.test}
        return Corpus(train, splits.get("val"), test, dict(skipped))

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


def _given(config: ParallelConfig) -> dict[str, FilePair]:
    """The files of each split, under ``train``, ``val`` and ``test.<name>``."""
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


def _makers(sieve: Sieve, files: FilePair, key: str) -> Iterator[Callable[[], Pair]]:
    """One maker of a pair per line; the files must end together."""
    keys = {side: f"{key}.{side}" for side in SIDES}
    lines = zip_longest(raw_lines(files.source, keys["source"]), raw_lines(files.target, keys["target"]))
    for number, (source, target) in enumerate(lines, start=1):
        if source is None or target is None:
            counts = [count_lines(getattr(files, side), keys[side]) for side in SIDES]
            raise DataError(
                f"{files.source} has {counts[0]} lines but {files.target} has {counts[1]}; line n of one belongs to "
                f"line n of the other, and line {number} has no partner. Align the files of `{key}`."
            )
        yield partial(_pair, sieve, files, number, source, target)


def _pair(sieve: Sieve, files: FilePair, number: int, source: bytes, target: bytes) -> Pair:
    return Pair.of(
        sieve.text(source, f"{files.source}:{number}", "source"),
        sieve.text(target, f"{files.target}:{number}", "target"),
    )
