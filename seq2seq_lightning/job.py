"""What one worker process is asked to do, as one JSON file between the command that plans and the worker that works.

And where its scores are found: in a folder per decoding and test set, named by the settings that decide them.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seq2seq_lightning.config import FAMILIES, Config, fingerprint
from seq2seq_lightning.decoding import DecodingConfig
from seq2seq_lightning.decoding.ensemble import Average
from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.experiments.files import read_json, write_json_durably
from seq2seq_lightning.experiments.fingerprint import fingerprint as hash_parts
from seq2seq_lightning.experiments.ledger import run_dir
from seq2seq_lightning.experiments.record import read_record
from seq2seq_lightning.experiments.scores import FILE_NAME as SCORES
from seq2seq_lightning.experiments.scores import decoding_dir
from seq2seq_lightning.metrics import MetricsConfig
from seq2seq_lightning.structure import differences, from_plain, to_plain

QUALITY = "quality.json"

# What scores have been filed under from the beginning. Settings that came later count where they differ from their
# defaults, so that they leave the names of older scores as they were.
ALWAYS_NAMED: dict[str, tuple[str, ...]] = {
    "decoding": (
        *("name", "max_length", "max_length_ratio", "max_length_offset", "min_length", "forced_length", "batch_size"),
        *("beam_width", "n_best", "length_penalty", "alpha", "beta", "stop"),
    ),
    "metrics": ("report", "bleu", "chrf", "ter"),
    "metrics.bleu": ("tokenize", "lowercase", "smooth_method", "smooth_value"),
    "metrics.chrf": ("char_order", "word_order", "beta", "lowercase", "whitespace"),
    "metrics.ter": ("normalized", "no_punct", "asian_support", "case_sensitive"),
}


@dataclass(frozen=True)
class Job:
    """A resolved configuration and where its run lives.

    train: False for decoding a finished run only.
    test_sets: which sets to decode; None: all. also: further decodings to score in the same pass. members: the
    directories of further runs that are searched as one with this one, in which the scores are kept; average: of what.
    quality: the width of a beam that each search is compared with, in `quality.json` beside its scores. together: the
    job files of further seeds, which are trained in the same process at the same time.
    """

    run_dir: str
    fingerprint: str
    config: dict[str, Any]
    overrides: list[str] = field(default_factory=list)
    train: bool = True
    test_sets: list[str] | None = None
    also: list[dict[str, Any]] = field(default_factory=list)
    members: list[str] = field(default_factory=list)
    average: str = Average.log_probs.name
    quality: int | None = None
    together: list[str] = field(default_factory=list)

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
        parts = {key: self.config[key] for key in ("decoding", "metrics")} | {"sets": self.test_sets}
        for key in ("also", "members"):
            if getattr(self, key):
                parts[key] = [*getattr(self, key), self.average]
        if self.quality is not None:
            parts["quality"] = self.quality
        digest = hash_parts(parts)
        return self.folder / "jobs" / f"{digest}.json"

    def others(self) -> list[Job]:
        """The jobs that are trained together with this one."""
        return [Job.read(Path(path)) for path in self.together]

    def decodings(self) -> list[DecodingConfig]:
        """What is asked for: the configuration's decoding, then the further ones, none twice."""
        found = []
        for plain in (self.config["decoding"], *self.also):
            decoding = from_plain(DecodingConfig, plain, FAMILIES)
            if decoding not in found:
                found.append(decoding)
        return found

    def name_of(self, decoding: DecodingConfig) -> str:
        """What the scores of a decoding are called: its name, and of how many models where they are several."""
        return f"{decoding.name}-of-{len(self.members) + 1}" if self.members else decoding.name

    def scores_dir(self, decoding: DecodingConfig, test_set: str) -> Path:
        """Where the scores of a decoding of a test set are kept."""
        metrics = from_plain(MetricsConfig, self.config["metrics"], FAMILIES)
        named = _named_by(decoding, "decoding")
        if self.members:
            runs = [self.fingerprint, *(read_record(Path(member)).fingerprint for member in self.members)]
            named |= {"ensemble": sorted(runs), "average": self.average, "name": self.name_of(decoding)}
        return decoding_dir(self.folder, named, test_set, _named_by(metrics, "metrics"))

    def is_scored(self, decoding: DecodingConfig, test_set: str) -> bool:
        """Whether all that this job asks of a decoding of a test set is there."""
        folder = self.scores_dir(decoding, test_set)
        if not (folder / SCORES).exists():
            return False
        return self.quality is None or (
            (folder / QUALITY).exists() and read_json(folder / QUALITY)["widest"] == self.quality
        )

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
        plain = read_json(path)
        try:
            job = Job(**plain)
            if not isinstance(job.config, dict) or not isinstance(job.run_dir, str):
                raise TypeError("its run_dir is no text or its config no section")
        except TypeError as error:
            raise DataError(f"{path} is no job ({error}). Repeat the command that made it.") from error
        return job


def _named_by(value: Any, path: str) -> dict[str, Any]:
    """The plain settings of a dataclass that scores are filed under; path: where it stands in a configuration."""
    changed, found = differences(value), {}
    for key, plain in to_plain(value).items():
        if key in ALWAYS_NAMED[path]:
            nested = f"{path}.{key}"
            found[key] = _named_by(getattr(value, key), nested) if nested in ALWAYS_NAMED else plain
        elif key in changed:
            found[key] = changed[key]
    return found
