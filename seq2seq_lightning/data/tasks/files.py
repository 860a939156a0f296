"""What tasks that read users' files have in common: policies for bad input, and the count of what is left out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from enum import Enum

from seq2seq_lightning.data.bucketing import BatchingConfig
from seq2seq_lightning.data.example import Pair, Stream
from seq2seq_lightning.data.tasks.concatenation import joined
from seq2seq_lightning.data.tasks.reading import BadLine, content_hash, text_of
from seq2seq_lightning.data.tasks.symbol_files import SymbolFile
from seq2seq_lightning.data.tasks.task import DataConfig
from seq2seq_lightning.errors import ConfigurationError, DataError

READER_VERSION = 1  # raise when the same files and policies give other pairs


class Policy(Enum):
    """What to do with a bad line."""

    error = "error"
    skip = "skip"


@dataclass
class BadInputConfig:
    """What to do with a line that has a problem: stop, or leave its pair out and count it.

    Files that are missing, empty or damaged are always errors.
    """

    empty: Policy = Policy.error  # a side without anything but blanks
    over_long: Policy = Policy.error  # a side longer than `max_length`
    invalid_utf8: Policy = Policy.error
    column_count: Policy = Policy.error  # a line of a table with more or fewer columns than the first
    nul: Policy = Policy.error  # a NUL byte
    unpaired: Policy = Policy.error  # a line of the longer of two files, behind the end of the shorter
    not_json: Policy = Policy.error  # a line that is no JSON object, or one with a key twice
    missing_key: Policy = Policy.error  # a record without a key that is read
    wrong_type: Policy = Policy.error  # a value that is neither text nor, where there may be several, a list of texts
    too_short: Policy = Policy.error  # a line with nothing to continue, or no continuation
    outside_vocabulary: Policy = Policy.error  # a symbol that `source_symbols` or `target_symbols` does not have


ALWAYS_IDENTIFYING = ("empty", "over_long", "invalid_utf8", "column_count", "nul")  # the others where they skip
SPLITS = ("train", "val", "test")


class LengthUnit(Enum):
    """What `max_length` counts."""

    words = "words"  # between blanks
    characters = "characters"  # code points


@dataclass
class FilesConfig(DataConfig):
    """A task that reads files."""

    batching: BatchingConfig = field(default_factory=lambda: BatchingConfig(pool=-1, same_source_length=True))
    # longest source and target allowed, before tokenizing, in `length_unit`; 0 = any length
    max_length: int = 0
    length_unit: LengthUnit = LengthUnit.words
    bad_input: BadInputConfig = field(default_factory=BadInputConfig)
    # files with the symbols that sources and targets may have, one per line; null: any symbol may occur
    source_symbols: str | None = None
    target_symbols: str | None = None
    # what a symbol is in a text: words | characters
    symbol_unit: LengthUnit = LengthUnit.words
    # so many consecutive pairs become one, for length studies: lines are checked first, then joined; 1 = none
    concatenate: int = 1
    # where they do: train, val, test (every test set), test.<name>
    concatenate_splits: list[str] = field(default_factory=lambda: list(SPLITS))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.concatenate < 1:
            raise ConfigurationError(f"`data.concatenate` is {self.concatenate}; set it to 1 (none is joined) or more.")
        if self.concatenate == 1 and self.concatenate_splits != list(SPLITS):
            raise ConfigurationError(
                f"`data.concatenate_splits={self.concatenate_splits}` changes nothing, because `data.concatenate=1` "
                "joins no pairs. Set `data.concatenate=2` or more, or leave the splits out."
            )
        if not self.concatenate_splits:
            raise ConfigurationError(
                f"`data.concatenate_splits=[]` leaves `data.concatenate={self.concatenate}` without a split. "
                "Name one, or set `data.concatenate=1`."
            )
        if self.symbol_unit is not LengthUnit.words and not self.symbol_files:
            raise ConfigurationError(
                f"`data.symbol_unit={self.symbol_unit.value}` changes nothing without a file of symbols. Set "
                "`data.source_symbols` or `data.target_symbols`, or leave it out."
            )
        if self.max_length < 0:
            raise ConfigurationError(f"`data.max_length` is {self.max_length}; set it to 0 (any length) or more.")

    @property
    def symbol_files(self) -> dict[str, str]:
        """The files of symbols that are given, by side."""
        paths = {"source": self.source_symbols, "target": self.target_symbols}
        return {side: path for side, path in paths.items() if path}

    def reading_identity(self) -> dict[str, str]:
        """What of the configuration decides which lines are read."""
        policies = {
            f"bad_input.{reason}": policy.value
            for reason, policy in asdict(self.bad_input).items()
            if reason in ALWAYS_IDENTIFYING or policy is Policy.skip
        }
        lengths = {"max_length": str(self.max_length), "length_unit": self.length_unit.value}
        splits = " ".join(sorted(set(self.concatenate_splits)))
        joined = {"concatenate": f"{self.concatenate} in {splits}"} if self.concatenate > 1 else {}
        symbols = {
            f"{side}_symbols": f"{self.symbol_unit.value} {content_hash(path, f'data.{side}_symbols')}"
            for side, path in self.symbol_files.items()
        }
        return {"task": self.name, "reader": str(READER_VERSION)} | lengths | policies | joined | symbols

    def joined_in(self, split: str) -> int:
        """How many consecutive pairs of a split (``train``, ``val``, ``test.<name>``) become one."""
        named = {split, split.partition(".")[0]} & set(self.concatenate_splits)
        return self.concatenate if named else 1


Makers = Callable[[], Iterable[Callable[[], Pair]]]  # begins anew at the first line at each call


class Sieve:
    """Reads the pairs of one split and counts by reason those it leaves out."""

    def __init__(self, config: FilesConfig, split: str) -> None:
        self.config = config
        self.split = split.replace(".", "/")
        self.joins = config.joined_in(split)
        in_words = config.symbol_unit is LengthUnit.words
        self.symbols = {
            side: SymbolFile.read(path, f"data.{side}_symbols", in_words) for side, path in config.symbol_files.items()
        }
        self.skipped: Counter[str] = Counter()  # "<split>/<reason>" → pairs

    def pairs(self, makers: Makers, files: str) -> list[Pair]:
        """The pairs whose making meets no bad line, all in memory; files: their names, for messages."""
        kept = list(self._walk(makers(), self._leave_out))
        self._check_count(len(kept), files)
        return kept

    def stream(self, makers: Makers, files: str) -> Stream:
        """The same pairs, made anew at each walk, for splits of any size.

        A first walk is made here, so that what is wrong with a line is said before anything begins; it alone counts
        what is left out.
        """
        count = sum(1 for _ in self._walk(makers(), self._leave_out))
        self._check_count(count, files)
        return Stream(lambda: self._walk(makers(), self._refuse), count, files)

    def _walk(self, makers: Iterable[Callable[[], Pair]], bad: Callable[[BadLine], None]) -> Iterator[Pair]:
        good = self._good(makers, bad)
        return good if self.joins == 1 else joined(good, self.joins)

    @staticmethod
    def _good(makers: Iterable[Callable[[], Pair]], bad: Callable[[BadLine], None]) -> Iterator[Pair]:
        for make in makers:
            try:
                pair = make()
            except BadLine as problem:
                bad(problem)
                continue
            yield pair

    def _check_count(self, kept: int, files: str) -> None:
        if not kept:
            skipped = ", ".join(f"{key} {count}" for key, count in self.skipped.items())
            raise DataError(
                f"{files}: no pairs to read for `{self.split}` ({f'left out: {skipped}' if skipped else 'no lines'}). "
                "Give a file with text."
            )

    def text(self, raw: bytes, where: str, side: str) -> str:
        """The text of one side, checked: neither empty nor too long; where: ``file:line``."""
        return self.checked(text_of(raw, where), where, side)

    def checked(self, text: str, where: str, side: str) -> str:
        """The text of one side, which is neither empty nor too long."""
        if not text.strip():
            raise BadLine("empty", f"{where}: the {side} is empty. Remove the pair or write the missing text.")
        limit, unit = self.config.max_length, self.config.length_unit
        if limit:
            length = len(text.split()) if unit is LengthUnit.words else len(text)
            if length > limit:
                raise BadLine(
                    "over_long",
                    f"{where}: the {side} has {length} {unit.value}, more than `data.max_length={limit}`. "
                    "Raise it or shorten the line.",
                )
        symbols = self.symbols.get("source" if side in ("source", "prompt") else "target")
        if symbols is not None:
            symbols.check(text, where, side)
        return text

    def _leave_out(self, problem: BadLine) -> None:
        self._refuse(problem)
        self.skipped[f"{self.split}/{problem.reason}"] += 1

    def _refuse(self, problem: BadLine) -> None:
        """Nothing, where such lines are to be skipped."""
        if getattr(self.config.bad_input, problem.reason) is Policy.error:
            raise DataError(
                f"{problem} To leave such lines out and count them, set `data.bad_input.{problem.reason}=skip`."
            ) from problem


def check_test_names(names: Iterable[str], key: str = "test") -> None:
    """Test sets name folders and logged keys; key: the section of the configuration where they stand."""
    for name in names:
        if not re.fullmatch(r"[\w-]+", name) or name in ("train", "val"):
            raise ConfigurationError(
                f"`data.{key}.{name}`: {name!r} cannot name a test set. "
                "Use letters, digits, `_` and `-`, and neither `train` nor `val`."
            )
