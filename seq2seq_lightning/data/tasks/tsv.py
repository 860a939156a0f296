"""Tables of tab-separated columns: one column is the source, another the target, further ones more references."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.data.tasks.files import FilesConfig, Sieve, check_test_names
from seq2seq_lightning.data.tasks.files_task import FilesTask, Maker
from seq2seq_lightning.data.tasks.reading import BadLine, content_hash, raw_lines, text_of
from seq2seq_lightning.errors import ConfigurationError, DataError, nearest

Column = int | str  # counted from 0, or by the name that the first line gives it


@dataclass
class TsvConfig(FilesConfig):
    """Tab-separated UTF-8 text; columns count from 0, or go by the names in the first line."""

    name: str = "tsv"
    train: str = ""
    # without it no validation takes place
    val: str | None = None
    # any number of test sets by name: data.test.<name>
    test: dict[str, str] = field(default_factory=dict)
    # the first line names the columns and is no pair; a column given by name says so too
    header: bool = False
    source_column: int | str = 0
    target_column: int | str = 1
    # columns with further references, read where nothing is learnt; a line may leave some of them empty
    reference_columns: list[int | str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        columns = self.columns
        numbers = [column for column in columns if isinstance(column, int)]
        if min(numbers, default=0) < 0:
            raise ConfigurationError(
                f"`data={self.name}` counts columns from 0, but {min(numbers)} is given. Set it to 0 or more."
            )
        if len(set(columns)) < len(columns):
            raise ConfigurationError(
                f"`data.source_column={self.source_column}`, `data.target_column={self.target_column}` and "
                f"`data.reference_columns={self.reference_columns}` name a column twice. Give each its own."
            )

    @property
    def columns(self) -> list[Column]:
        """The columns that are read: source, target, further references."""
        return [self.source_column, self.target_column, *self.reference_columns]

    @property
    def has_header(self) -> bool:
        """Whether the first line names the columns."""
        return self.header or any(isinstance(column, str) for column in self.columns)

    @property
    def has_validation(self) -> bool:
        """See ``DataConfig.has_validation``."""
        return bool(self.val)


class TsvTask(FilesTask):
    """Streams the table of each split."""

    config: TsvConfig
    files: Mapping[str, str]

    def given(self) -> Mapping[str, str]:
        """The file of each split, under ``train``, ``val`` and ``test.<name>``."""
        return given_files(self.config.name, self.config.train, self.config.val, self.config.test, "corpus.tsv")

    def named(self, split: str) -> str:
        """See ``FilesTask.named``."""
        return self.files[split]

    def makers(self, split: str, sieve: Sieve) -> Iterator[Maker]:
        """One maker of a pair per line."""
        return Table(self.files[split], self.config, sieve, references=split != "train").makers(f"data.{split}")

    def identity(self) -> dict[str, str]:
        """The content of every file, the columns, and how lines are chosen."""
        config = self.config
        columns = {key: str(getattr(config, key)) for key in ("source_column", "target_column", "reference_columns")}
        header = {"header": "True"} if config.has_header else {}
        contents = {split: content_hash(path, f"data.{split}") for split, path in self.files.items()}
        return config.reading_identity() | columns | header | contents


def given_files(task: str, train: str, val: str | None, test: Mapping[str, str], example: str) -> dict[str, str]:
    """The file of each split, where a split is one file; example: the name of one, for the message."""
    check_test_names(test)
    files = {"train": train} | ({"val": val} if val else {})
    files |= {f"test.{name}": path for name, path in test.items()}
    missing = [f"data.{split}" for split, path in files.items() if not path]
    if missing:
        examples = " ".join(f"{key}={example}" for key in missing)
        raise ConfigurationError(f"`data={task}` needs {', '.join(missing)}. For example: {examples}")
    return files


class Table:
    """A file whose lines all have the columns of its first line."""

    def __init__(self, path: str, config: TsvConfig, sieve: Sieve, references: bool) -> None:
        self.path, self.config, self.sieve = path, config, sieve
        self.wanted = config.columns if references else config.columns[:2]
        self.columns = 0
        self.places: list[int] = []  # of the wanted columns

    def makers(self, key: str) -> Iterator[Maker]:
        """One maker of a pair per line."""
        for number, raw in enumerate(raw_lines(self.path, key), start=1):
            cells = raw.split(b"\t")
            if number == 1:
                self.columns, self.places = len(cells), self._places(cells)
                if self.config.has_header:
                    continue
            yield partial(self._pair, cells, f"{self.path}:{number}")

    def _places(self, cells: list[bytes]) -> list[int]:
        names = [text_of(cell, f"{self.path}:1") for cell in cells] if self.config.has_header else []
        places = [self._named(column, names) if isinstance(column, str) else column for column in self.wanted]
        last = max(places)
        if len(cells) <= last:
            raise DataError(
                f"{self.path}:1: the first line has {len(cells)} columns, but column {last} (from 0) is asked for. "
                "Check that columns are separated by tabs, `data.source_column`, `data.target_column` and "
                "`data.reference_columns`."
            )
        if len(set(places)) < len(places):
            raise DataError(
                f"{self.path}:1: {', '.join(map(str, self.wanted))} are not all columns of their own. Give each of "
                "`data.source_column`, `data.target_column` and `data.reference_columns` one of its own."
            )
        return places

    def _named(self, column: str, names: list[str]) -> int:
        count = Counter(names)[column]
        if count == 1:
            return names.index(column)
        if count > 1:
            raise DataError(
                f"{self.path}:1: {count} columns have the name {column!r}. Rename them, or give the column by its "
                "number (from 0) and set `data.header=true`."
            )
        raise DataError(
            f"{self.path}:1: no column has the name {column!r}. {nearest(column, names)} Give a "
            "name of the first line or, for a table without a header, the number of the column (from 0)."
        )

    def _pair(self, cells: list[bytes], where: str) -> Pair:
        if len(cells) != self.columns:
            raise BadLine(
                "column_count",
                f"{where}: {len(cells)} columns, where the first line has {self.columns}. Mend the tabs of the line.",
            )
        source, target = (
            self.sieve.text(cells[place], where, side)
            for place, side in zip(self.places, ("source", "target"), strict=False)
        )
        further = (cells[place] for place in self.places[2:])
        references = [self.sieve.text(cell, where, "reference") for cell in further if cell.strip()]
        return Pair(source, target, (target, *references))
