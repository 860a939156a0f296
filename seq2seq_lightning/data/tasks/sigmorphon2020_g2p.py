"""SIGMORPHON 2020, task 1: words to their pronunciation in 15 languages (Gorman et al. 2020), from a local folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from seq2seq_lightning.data.tasks.files import FilesConfig, Sieve
from seq2seq_lightning.data.tasks.files_task import FilesTask, Maker
from seq2seq_lightning.data.tasks.known_files import PublishedFiles
from seq2seq_lightning.data.tasks.sigmorphon2020_g2p_files import FILES
from seq2seq_lightning.data.tasks.tsv import Table, TsvConfig

PUBLISHED = PublishedFiles(FILES, "github.com/sigmorphon/2020, folder task1/data", "data=tsv")
PARTS = {"train": "train", "val": "dev", "test.test": "test"}


class G2pLanguage(Enum):
    """The languages of the task, by the names of its files."""

    ady = "ady"
    arm = "arm"
    bul = "bul"
    dut = "dut"
    fre = "fre"
    geo = "geo"
    gre = "gre"
    hin = "hin"
    hun = "hun"
    ice = "ice"
    jpn = "jpn"
    kor = "kor"
    lit = "lit"
    rum = "rum"
    vie = "vie"


@dataclass
class G2pConfig(FilesConfig):
    """3,600 training words of one language, 450 for validation and 450 in the set `test`; goes with `text=g2p`."""

    name: str = "sigmorphon2020_g2p"
    # where the files are: the folder `task1/data` of the repository, or one with the files themselves
    folder: str = ""
    # ady arm bul dut fre geo gre hin hun ice jpn kor lit rum vie
    language: G2pLanguage = G2pLanguage.fre


class G2pTask(FilesTask):
    """Streams the words of one language, once its files have been found to be the published ones."""

    config: G2pConfig
    files: Mapping[str, str]

    def given(self) -> Mapping[str, str]:
        """The file of each split."""
        language = self.config.language.value
        return {
            split: PUBLISHED.path(self.config.folder, (part, "", f"task1/data/{part}"), f"{language}_{part}.tsv")
            for split, part in PARTS.items()
        }

    def named(self, split: str) -> str:
        """See ``FilesTask.named``."""
        return self.files[split]

    def makers(self, split: str, sieve: Sieve) -> Iterator[Maker]:
        """One maker of a pair per word."""
        PUBLISHED.checked(self.files[split])
        return Table(self.files[split], TsvConfig(), sieve, references=False).makers("data.folder")

    def identity(self) -> dict[str, str]:
        """The content of every file, and how lines are chosen."""
        contents = {split: PUBLISHED.checked(path) for split, path in self.files.items()}
        return self.config.reading_identity() | contents
