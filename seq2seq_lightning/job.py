"""What one worker process is asked to do, as one JSON file between the command that plans and the worker that works."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seq2seq_lightning.config import Config, fingerprint
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.files import read_json, write_json_durably
from seq2seq_lightning.experiments.fingerprint import fingerprint as hash_parts
from seq2seq_lightning.experiments.ledger import run_dir


@dataclass(frozen=True)
class Job:
    """A resolved configuration and where its run lives.

    train: False for decoding a finished run only.
    test_sets: which sets to decode; None: all.
    """

    run_dir: str
    fingerprint: str
    config: dict[str, Any]
    overrides: list[str] = field(default_factory=list)
    train: bool = True
    test_sets: list[str] | None = None

    @staticmethod
    def of(config: Config, overrides: list[str]) -> Job:
        """The job that trains and scores this configuration. Raises ConfigurationError for a look before a training."""
        if config.debug is not None:
            raise ConfigurationError(
                f"debug={config.debug.name} is a look at one run of seq2seq-train: leave out -m, and set debug=null "
                "for everything else."
            )
        digest = fingerprint(config)
        folder = run_dir(Path(config.paths.runs), config.name, digest)
        return Job(str(folder.absolute()), digest, config.to_plain(), overrides)

    @property
    def folder(self) -> Path:
        """The run directory."""
        return Path(self.run_dir)

    @property
    def path(self) -> Path:
        """This job's file in its run directory; jobs that differ in decoding only have files of their own."""
        digest = hash_parts({key: self.config[key] for key in ("decoding", "metrics")} | {"sets": self.test_sets})
        return self.folder / "jobs" / f"{digest}.json"

    @property
    def ending(self) -> Path:
        """Beside it, how the job ended: one word, written by whoever started it and read by whoever counts."""
        return self.path.with_suffix(".ended")

    def write(self) -> Path:
        """Store this job; returns its file."""
        write_json_durably(self.path, asdict(self))
        return self.path

    @staticmethod
    def read(path: Path) -> Job:
        """The job in a file."""
        return Job(**read_json(path))
