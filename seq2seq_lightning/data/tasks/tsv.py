"""Tables of tab-separated columns: one column is the source, another the target, further ones more references."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial

from seq2seq_lightning.data.example import Corpus, Pair
from seq2seq_lightning.data.tasks.files import FilesConfig, Sieve, check_test_names
from seq2seq_lightning.data.tasks.reading import BadLine, content_hash, raw_lines
from seq2seq_lightning.data.tasks.task import Task
from seq2seq_lightning.errors import ConfigurationError, DataError


@dataclass
class TsvConfig(FilesConfig):
    """Tab-separated UTF-8 text without a header; columns count from 0."""

    name: str = "tsv"
    train: str = ""
    # without it no validation takes place
    val: str | None = None
    # any number of test sets by name: data.test.<name>
    test: dict[str, str] = field(default_factory=dict)
    source_column: int = 0
    target_column: int = 1
    # columns with further references, read where nothing is learnt; a line may leave some of them empty
    reference_columns: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        columns = [self.source_column, self.target_column, *self.reference_columns]
        if min(columns) < 0:
            raise ConfigurationError(
                f"`data=tsv` counts columns from 0, but {min(columns)} is given. Set it to 0 or more."
            )
        if len(set(columns)) < len(columns):
            raise ConfigurationError(
                f"`data.source_column={self.source_column}`, `data.target_column={self.target_column}` and "
                f"`data.reference_columns={self.reference_columns}` name a column twice. Give each its own."
            )

    @property
    def has_validation(self) -> bool:
        """See ``DataConfig.has_validation``."""
        return bool(self.val)


class TsvTask(Task):
    """Streams the table of each split."""

    config: TsvConfig

    def __init__(self, config: TsvConfig) -> None:
        super().__init__(config)
        self.files = _given(config)

    def read(self) -> Corpus:
        """Every split; a bad line is an error or left out, as `data.bad_input` says."""
        skipped: Counter[str] = Counter()
        splits: dict[str, list[Pair]] = {}
        for split, path in self.files.items():
            sieve = Sieve(self.config, split.replace(".", "/"))
            table = _Table(path, self.config, sieve, references=split != "train")
            makers = partial(table.makers, f"data.{split}")
            if split == "train":
                train = sieve.stream(makers, path)
            else:
                splits[split] = sieve.pairs(makers, path)
            skipped += sieve.skipped
        test = {name: splits[f"test.{name}"] for name in self.config.test}
        return Corpus(train, splits.get("val"), test, dict(skipped))

    def identity(self) -> dict[str, str]:
        """The content of every file, the columns, and how lines are chosen."""
        config = self.config
        columns = {key: str(getattr(config, key)) for key in ("source_column", "target_column", "reference_columns")}
        contents = {split: content_hash(path, f"data.{split}") for split, path in self.files.items()}
        return config.reading_identity() | columns | contents


def _given(config: TsvConfig) -> dict[str, str]:
    """The file of each split, under ``train``, ``val`` and ``test.<name>``."""
    check_test_names(config.test)
    files = {"train": config.train} | ({"val": config.val} if config.val else {})
    files |= {f"test.{name}": path for name, path in config.test.items()}
    missing = [f"data.{split}" for split, path in files.items() if not path]
    if missing:
        example = " ".join(f"{key}=corpus.tsv" for key in missing)
        raise ConfigurationError(f"`data=tsv` needs {', '.join(missing)}. For example: {example}")
    return files


class _Table:
    """A file whose lines all have the columns of its first line."""

    def __init__(self, path: str, config: TsvConfig, sieve: Sieve, references: bool) -> None:
        self.path, self.config, self.sieve = path, config, sieve
        self.further = config.reference_columns if references else []
        self.columns = 0

    def makers(self, key: str) -> Iterator[Callable[[], Pair]]:
        """One maker of a pair per line."""
        for number, raw in enumerate(raw_lines(self.path, key), start=1):
            if number == 1:
                self._count_columns(raw.count(b"\t") + 1)
            yield partial(self._pair, raw.split(b"\t"), f"{self.path}:{number}")

    def _count_columns(self, columns: int) -> None:
        last = max(self.config.source_column, self.config.target_column, *self.further, 0)
        if columns <= last:
            raise DataError(
                f"{self.path}:1: the first line has {columns} columns, but column {last} (from 0) is asked for. "
                "Check that columns are separated by tabs, `data.source_column`, `data.target_column` and "
                "`data.reference_columns`."
            )
        self.columns = columns

    def _pair(self, cells: list[bytes], where: str) -> Pair:
        if len(cells) != self.columns:
            raise BadLine(
                "column_count",
                f"{where}: {len(cells)} columns, where the first line has {self.columns}. Mend the tabs of the line.",
            )
        source = self.sieve.text(cells[self.config.source_column], where, "source")
        target = self.sieve.text(cells[self.config.target_column], where, "target")
        further = [
            self.sieve.text(cells[column], where, "reference") for column in self.further if cells[column].strip()
        ]
        return Pair(source, target, (target, *further))
