"""Data sets in the formats of Hugging Face `datasets`: by their name on the hub, or from a local folder."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from seq2seq_lightning.data.tasks.files import FilesConfig, Sieve, check_test_names
from seq2seq_lightning.data.tasks.files_task import FilesTask, Maker
from seq2seq_lightning.data.tasks.reading import is_there, place_of
from seq2seq_lightning.data.tasks.records import Fields
from seq2seq_lightning.errors import ConfigurationError, DataError, nearest
from seq2seq_lightning.text.extras import from_extra

NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")  # on the hub
COMMIT = re.compile(r"[0-9a-f]{40}")
SAVED = ("dataset_dict.json", "state.json")  # what save_to_disk leaves in its folder


@dataclass
class HubConfig(FilesConfig):
    """A data set of the hub, or one on disk. It is downloaded once and memory-mapped, or streamed; no code of it runs.

    Where things are kept, and the access to private data sets, are told by HF_HOME, HF_TOKEN and HF_HUB_OFFLINE.
    """

    name: str = "hub"
    # owner/name on the hub; or a folder, of data files (JSON lines, CSV, Parquet) or as `save_to_disk` leaves it
    path: str = ""
    # which of several configurations of the data set
    subset: str | None = None
    # a commit, branch or tag of the hub; null: the newest
    revision: str | None = None
    # read anew from the hub or the folder at each walk, instead of from a copy in the cache of `datasets`
    streaming: bool = False
    # names of splits in the data set, also parts such as train[:90%] where nothing is streamed
    train: str = "train"
    # without it no validation takes place
    val: str | None = None
    # any number of test sets by name: data.test.<name>=<split>
    test: dict[str, str] = field(default_factory=dict)
    # translation.de leads into a nested column, answers.0 into a list
    source_column: str = "source"
    # a text, or a list of texts of which the first is learnt from and all are references
    target_column: str = "target"
    # further references, texts or lists of texts, read where nothing is learnt; a list may be empty
    reference_columns: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.fields

    @property
    def fields(self) -> Fields:
        """Where a row has its texts."""
        references = tuple(self.reference_columns)
        keys = "data.source_column", "data.target_column", "data.reference_columns"
        return Fields(self.source_column, self.target_column, references, *keys)

    @property
    def has_validation(self) -> bool:
        """See ``DataConfig.has_validation``."""
        return bool(self.val)

    @property
    def folder(self) -> Path | None:
        """The folder on disk; None for a name on the hub."""
        folder = place_of(self.path)
        return folder if is_there(folder, is_folder=True) else None


class HubTask(FilesTask):
    """Streams the rows of each split."""

    config: HubConfig
    files: Mapping[str, str]  # the names of splits in the data set

    def given(self) -> Mapping[str, str]:
        """The split of the data set for each of ours."""
        config = self.config
        check_test_names(config.test)
        if not config.path:
            raise ConfigurationError("`data=hub` needs data.path. For example: data.path=owner/name, or a folder.")
        splits = {"train": config.train} | ({"val": config.val} if config.val else {})
        splits |= {f"test.{name}": split for name, split in config.test.items()}
        missing = [f"data.{split}" for split, name in splits.items() if not name]
        if missing:
            raise ConfigurationError(f"`data=hub`: {', '.join(missing)} must name a split of the data set.")
        return splits

    def named(self, split: str) -> str:
        """See ``FilesTask.named``."""
        return f"{self.config.path} ({self.files[split]})"

    def makers(self, split: str, sieve: Sieve) -> Iterator[Maker]:
        """One maker of a pair per row."""
        fields = self.config.fields
        for number, record in enumerate(self._rows(split), start=1):
            yield partial(fields.pair, record, sieve, f"{self.named(split)}, row {number}", split != "train")

    def identity(self) -> dict[str, str]:
        """The content of the columns that are read; of a stream from the hub its commit, which names its content."""
        config = self.config
        columns = {key: str(getattr(config, key)) for key in ("source_column", "target_column", "reference_columns")}
        return config.reading_identity() | columns | {split: self._identity_of(split) for split in self.files}

    def _identity_of(self, split: str) -> str:
        config = self.config
        if not config.streaming or config.folder is not None:
            return self._content_hash(split)
        if config.revision is None or not COMMIT.fullmatch(config.revision):
            raise ConfigurationError(
                f"`data.streaming=true` reads {config.path} from the hub without a copy, so only a commit tells what "
                f"is read, but `data.revision={config.revision}`. Set it to the 40 hex digits of a commit, or "
                "`data.streaming=false`."
            )
        return f"{config.path}@{config.revision}/{config.subset}/{self.files[split]}"

    def _content_hash(self, split: str) -> str:
        digest = hashlib.sha256()
        for record in self._rows(split):
            digest.update(json.dumps(record, sort_keys=True, ensure_ascii=False, default=str).encode())
            digest.update(b"\n")
        return digest.hexdigest()

    def _rows(self, split: str) -> Iterator[Mapping[str, Any]]:
        """The rows of a split, of the columns that are read only."""
        rows = iter(self._selected(_opened(self.config, self.files[split], f"data.{split}")))
        number = 0
        while True:
            try:
                row = next(rows, None)
            except Exception as error:  # whatever the readers of other people's formats raise
                raise DataError(
                    f"{self.named(split)}: cannot read on behind row {number}: {_reason(error)}. Mend the file, or "
                    "download it again."
                ) from error
            if row is None:
                return
            number += 1
            yield row

    def _selected(self, dataset: Any) -> Iterable[Mapping[str, Any]]:
        """The data set without the columns that nobody asks for; a stream may not know its columns beforehand."""
        there = dataset.column_names
        if there is None:
            return dataset
        fields, wanted = self.config.fields, []
        for name in (fields.source, fields.target, *fields.references):
            column = name if name in there else name.partition(".")[0]
            if column not in there:
                raise DataError(f"{self.config.path}: there is no column {column!r}. {nearest(column, there)}")
            wanted.append(column)
        return dataset.select_columns(list(dict.fromkeys(wanted)))


def _opened(config: HubConfig, split: str, key: str) -> Any:
    """A split, memory-mapped or as a stream."""
    library = from_extra("datasets", "hub", "the task data=hub")  # here, as its import takes seconds
    folder = config.folder
    if folder is None and not NAME.fullmatch(config.path):
        raise DataError(f"`data.path={config.path}` is neither a folder here nor a name of the hub (owner/name).")
    if folder is not None and config.revision is not None:
        raise ConfigurationError(
            f"`data.revision={config.revision}` changes nothing, because `data.path={config.path}` is a folder. "
            "Leave it out."
        )
    try:
        if folder is not None and any((folder / name).is_file() for name in SAVED):
            return _saved(library, config, folder, split, key)
        return library.load_dataset(
            config.path if folder is None else str(folder),
            config.subset,
            split=split,
            revision=config.revision,
            streaming=config.streaming,
        )
    except DataError:
        raise
    except Exception as error:  # no network, no such name, no access, no such split, a file of another format
        raise DataError(
            f"`data.path={config.path}`: `{key}={split}` cannot be opened: {_reason(error)}. Check the name, the split "
            "and, for the hub, the network and HF_TOKEN."
        ) from error


def _saved(library: Any, config: HubConfig, folder: Path, split: str, key: str) -> Any:
    """A split of what `save_to_disk` left; a data set that was saved without splits is one named `train`."""
    if config.subset is not None:
        raise DataError(f"`data.subset={config.subset}`: {folder} was saved by `save_to_disk` and has no subsets.")
    loaded = library.load_from_disk(str(folder))
    splits = loaded if isinstance(loaded, dict) else {"train": loaded}
    if split not in splits:
        raise DataError(f"`{key}={split}` is no split of {folder}. {nearest(split, splits)}")
    return splits[split].to_iterable_dataset() if config.streaming else splits[split]


def _reason(error: BaseException) -> str:
    """What went wrong, from the cause that says most; on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    text = " ".join(str(error).split())
    return f"{text or type(error).__name__}".rstrip(".")
