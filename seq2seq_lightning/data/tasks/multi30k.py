"""Multi30k: captions of pictures in English, German and French (Elliott et al. 2016, 2017), from a local folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from seq2seq_lightning.data.tasks.files import FilesConfig, Sieve
from seq2seq_lightning.data.tasks.files_task import FilesTask, Maker
from seq2seq_lightning.data.tasks.known_files import PublishedFiles
from seq2seq_lightning.data.tasks.multi30k_files import FILES
from seq2seq_lightning.data.tasks.parallel import SIDES, FilePair, aligned
from seq2seq_lightning.errors import ConfigurationError

PUBLISHED = PublishedFiles(FILES, "github.com/multi30k/dataset, folder data/task1", "data=parallel")
STEMS = {
    "train": "train",
    "val": "val",
    "test.flickr2016": "test_2016_flickr",
    "test.flickr2017": "test_2017_flickr",
}


class Multi30kLanguage(Enum):
    """A side of the corpus."""

    en = "en"
    de = "de"
    fr = "fr"


class Multi30kVersion(Enum):
    """The same sentences twice."""

    tok = "tok"  # lower-cased, punctuation normalised, tokenised by the Moses scripts: text=words
    raw = "raw"  # as they were written


@dataclass
class Multi30kConfig(FilesConfig):
    """29,000 training pairs, 1,014 for validation; the test sets `flickr2016` and `flickr2017` of 1,000 each."""

    name: str = "multi30k"
    # where the files are: the folder `data/task1` of the repository, or one with the files themselves
    folder: str = ""
    # tok (lower-cased and tokenised) | raw
    version: Multi30kVersion = Multi30kVersion.tok
    source_language: Multi30kLanguage = Multi30kLanguage.en
    target_language: Multi30kLanguage = Multi30kLanguage.de

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.source_language is self.target_language:
            raise ConfigurationError(
                f"`data.source_language` and `data.target_language` are both {self.source_language.value}. "
                f"Set one of them to another: {', '.join(Multi30kLanguage.__members__)}."
            )


class Multi30kTask(FilesTask):
    """Streams two languages side by side, once all files have been found to be the published ones."""

    config: Multi30kConfig
    files: Mapping[str, FilePair]

    def given(self) -> Mapping[str, FilePair]:
        """The two files of each split."""
        version = self.config.version.value
        ending = ".lc.norm.tok" if self.config.version is Multi30kVersion.tok else ""
        languages = self.config.source_language.value, self.config.target_language.value
        places = version, "", f"data/task1/{version}"
        return {
            split: FilePair(
                *(PUBLISHED.path(self.config.folder, places, f"{stem}{ending}.{each}") for each in languages)
            )
            for split, stem in STEMS.items()
        }

    def named(self, split: str) -> str:
        """See ``FilesTask.named``."""
        return f"{self.files[split].source}, {self.files[split].target}"

    def makers(self, split: str, sieve: Sieve) -> Iterator[Maker]:
        """One maker of a pair per line."""
        for side in SIDES:
            PUBLISHED.checked(getattr(self.files[split], side))
        return aligned(self.files[split], split, sieve)

    def identity(self) -> dict[str, str]:
        """The content of every file, and how lines are chosen."""
        identity = self.config.reading_identity()
        for split, files in self.files.items():
            for side in SIDES:
                identity[f"{split}.{side}"] = PUBLISHED.checked(getattr(files, side))
        return identity
