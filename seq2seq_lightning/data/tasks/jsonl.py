"""JSON lines: one record per line, texts by name, nested ones too."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.data.tasks.files import FilesConfig, Sieve
from seq2seq_lightning.data.tasks.files_task import FilesTask, Maker
from seq2seq_lightning.data.tasks.reading import BadLine, content_hash, raw_lines, text_of
from seq2seq_lightning.data.tasks.records import Fields
from seq2seq_lightning.data.tasks.tsv import given_files


@dataclass
class JsonlConfig(FilesConfig):
    """One JSON object per line, plain or gzip."""

    name: str = "jsonl"
    train: str = ""
    # without it no validation takes place
    val: str | None = None
    # any number of test sets by name: data.test.<name>
    test: dict[str, str] = field(default_factory=dict)
    # names of values; translation.de leads into a nested object, answers.0 into a list
    source_key: str = "source"
    # a text, or a list of texts of which the first is learnt from and all are references
    target_key: str = "target"
    # further references, texts or lists of texts, read where nothing is learnt; a list may be empty
    reference_keys: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.fields

    @property
    def fields(self) -> Fields:
        """Where a record has its texts."""
        references = tuple(self.reference_keys)
        keys = "data.source_key", "data.target_key", "data.reference_keys"
        return Fields(self.source_key, self.target_key, references, *keys)

    @property
    def has_validation(self) -> bool:
        """See ``DataConfig.has_validation``."""
        return bool(self.val)


class JsonlTask(FilesTask):
    """Streams the records of each split."""

    config: JsonlConfig
    files: Mapping[str, str]

    def given(self) -> Mapping[str, str]:
        """The file of each split."""
        return given_files("jsonl", self.config.train, self.config.val, self.config.test, "corpus.jsonl")

    def named(self, split: str) -> str:
        """See ``FilesTask.named``."""
        return self.files[split]

    def makers(self, split: str, sieve: Sieve) -> Iterator[Maker]:
        """One maker of a pair per line."""
        fields, path = self.config.fields, self.files[split]
        for number, raw in enumerate(raw_lines(path, f"data.{split}"), start=1):
            yield partial(_pair, fields, raw, sieve, f"{path}:{number}", split != "train")

    def identity(self) -> dict[str, str]:
        """The content of every file, the names of values, and how lines are chosen."""
        keys = {key: str(getattr(self.config, key)) for key in ("source_key", "target_key", "reference_keys")}
        contents = {split: content_hash(path, f"data.{split}") for split, path in self.files.items()}
        return self.config.reading_identity() | keys | contents


def _pair(fields: Fields, raw: bytes, sieve: Sieve, where: str, with_references: bool) -> Pair:
    return fields.pair(_record(raw, where), sieve, where, with_references)


def _record(raw: bytes, where: str) -> dict[str, Any]:
    """The object of a line. Raises BadLine for anything else, and for a key that stands twice in it."""
    text = text_of(raw, where)
    if not text.strip():
        raise BadLine("empty", f"{where}: the line is empty. Remove it.")
    try:
        record = json.loads(text, object_pairs_hook=_distinct)
    except json.JSONDecodeError as error:
        problem = f"this is no JSON ({error.msg} at character {error.pos + 1})"
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, a nesting of thousands of levels
        problem = f"this JSON cannot be read ({error})"
    else:
        if isinstance(record, dict):
            return record
        problem = f"a {type(record).__name__} stands here, where an object is needed"
    raise BadLine("not_json", f'{where}: {problem}. Write one object per line: {{"source": "…", "target": "…"}}.')


def _distinct(items: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(items)
    if len(record) < len(items):
        names = [name for name, _ in items]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} stands in one object twice")
    return record
