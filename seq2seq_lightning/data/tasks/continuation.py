"""Plain text to be continued: each line is split into a prompt, which is the source, and the rest, the target."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.data.tasks.files import FilesConfig, LengthUnit, Sieve
from seq2seq_lightning.data.tasks.files_task import FilesTask, Maker
from seq2seq_lightning.data.tasks.reading import BadLine, content_hash, raw_lines, text_of
from seq2seq_lightning.data.tasks.tsv import given_files
from seq2seq_lightning.errors import ConfigurationError

HALF = 0.5


@dataclass
class ContinuationConfig(FilesConfig):
    """Text files of one sentence or paragraph per line, plain or gzip."""

    name: str = "continuation"
    train: str = ""
    # without it no validation takes place
    val: str | None = None
    # any number of test sets by name: data.test.<name>
    test: dict[str, str] = field(default_factory=dict)
    # the prompt is this share of a line's words (or characters), rounded down, but at least one and not all of them
    prompt_share: float = HALF
    # or so many of them, whatever the line; null: by share
    prompt_length: int | None = None
    # what is counted: words | characters
    prompt_unit: LengthUnit = LengthUnit.words

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.prompt_share < 1:
            raise ConfigurationError(f"`data.prompt_share` is {self.prompt_share}; set it between 0 and 1.")
        if self.prompt_length is not None and self.prompt_length < 1:
            raise ConfigurationError(f"`data.prompt_length` is {self.prompt_length}; set it to 1 or more, or to null.")
        if self.prompt_length is not None and self.prompt_share != HALF:
            raise ConfigurationError(
                f"`data.prompt_share={self.prompt_share}` changes nothing, because `data.prompt_length="
                f"{self.prompt_length}` says how long a prompt is. Leave one of the two out."
            )

    @property
    def has_validation(self) -> bool:
        """See ``DataConfig.has_validation``."""
        return bool(self.val)

    def prompt_of(self, units: int) -> int:
        """How many of a line's units are its prompt."""
        if self.prompt_length is not None:
            return self.prompt_length
        return min(max(int(units * self.prompt_share), 1), units - 1)


class ContinuationTask(FilesTask):
    """Streams the lines of each split."""

    config: ContinuationConfig
    files: Mapping[str, str]

    def given(self) -> Mapping[str, str]:
        """The file of each split."""
        return given_files("continuation", self.config.train, self.config.val, self.config.test, "corpus.txt")

    def named(self, split: str) -> str:
        """See ``FilesTask.named``."""
        return self.files[split]

    def makers(self, split: str, sieve: Sieve) -> Iterator[Maker]:
        """One maker of a pair per line."""
        path = self.files[split]
        for number, raw in enumerate(raw_lines(path, f"data.{split}"), start=1):
            yield partial(self._pair, raw, sieve, f"{path}:{number}")

    def identity(self) -> dict[str, str]:
        """The content of every file, the rule, and how lines are chosen."""
        config = self.config
        rule = {key: str(getattr(config, key)) for key in ("prompt_share", "prompt_length")}
        contents = {split: content_hash(path, f"data.{split}") for split, path in self.files.items()}
        return config.reading_identity() | rule | {"prompt_unit": config.prompt_unit.value} | contents

    def _pair(self, raw: bytes, sieve: Sieve, where: str) -> Pair:
        text = text_of(raw, where).strip()
        if not text:
            raise BadLine("empty", f"{where}: the line is empty. Remove it or write the missing text.")
        unit = self.config.prompt_unit
        pattern = r"\S+" if unit is LengthUnit.words else r"\S"
        ends = [found.end() for found in re.finditer(pattern, text)]
        prompt = self.config.prompt_of(len(ends))
        if not 0 < prompt < len(ends):
            raise BadLine(
                "too_short",
                f"{where}: a line of {len(ends)} {unit.value} has nothing behind a prompt of {max(prompt, 1)}. Make "
                "the line longer, or the prompt shorter (`data.prompt_length`, `data.prompt_share`).",
            )
        cut = ends[prompt - 1]
        return Pair.of(
            sieve.checked(text[:cut], where, "prompt"), sieve.checked(self._rest(text, cut), where, "continuation")
        )

    def _rest(self, text: str, cut: int) -> str:
        """What follows the prompt: from the next word on, or, where characters are counted, with a leading blank."""
        return text[cut:].lstrip() if self.config.prompt_unit is LengthUnit.words else text[cut:]
