"""What each command but `train` is told: one dataclass per command, beside the root Config of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any

from omegaconf import MISSING

from seq2seq_lightning.config import FAMILIES, Config, PathsConfig
from seq2seq_lightning.decoding import DecodingConfig
from seq2seq_lightning.decoding.ensemble import Average
from seq2seq_lightning.decoding.greedy import GreedyConfig
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.experiments.ablation_config import AblationConfig
from seq2seq_lightning.structure import from_plain, to_plain
from seq2seq_lightning.training.settings import Accelerator


@dataclass
class EvaluateConfig:
    """`seq2seq-evaluate`: one finished run, or several as one, and one decoding."""

    run: Any = MISSING  # the run directory; [a,b,c]: an ensemble of runs, whose scores are kept in the first
    average: Average = Average.log_probs  # log_probs | probabilities: what of an ensemble's members is averaged
    decoding: DecodingConfig = field(default_factory=GreedyConfig)
    metrics: dict[str, Any] = field(default_factory=dict)  # what to score otherwise than the run was
    test_sets: list[str] | None = None  # null: all of the run's
    quality: int | None = None  # report search errors against a beam of this width, e.g. 50; null: no such report
    threads: int | None = None  # CPU threads; null: the cores, shared among jobs that run at once

    def runs(self) -> list[Path]:
        """The directories, at least one."""
        return runs_named(self.run, self.average)


def runs_named(run: Any, average: Average) -> list[Path]:
    """The runs that `run=` names: one, or the members of an ensemble."""
    names = run if isinstance(run, list) else [run]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigurationError(f"run is {run!r}. Give the directory of a run, or run=[a,b,…] for an ensemble.")
    if len(set(names)) < len(names):
        raise ConfigurationError(f"run={names} names a run twice, which changes nothing. Leave it out.")
    if len(names) == 1 and average is not Average.log_probs:
        raise ConfigurationError(f"average={average.name} changes nothing for one run. Name several: run=[a,b].")
    return [Path(name) for name in names]


class AblateMode(Enum):
    """What `seq2seq-ablate` does with the trials."""

    run = "run"  # run what is missing, then print and write the table
    dry_run = "dry_run"  # list the trials and what is known of them, and forecast what the missing ones cost
    status = "status"  # list and count them by state, and print the table of what is there


@dataclass
class AblateConfig:
    """`seq2seq-ablate`: one ablation file, and where its results are."""

    ablation: AblationConfig = field(default_factory=AblationConfig)
    mode: AblateMode = AblateMode.run
    overrides: list[str] = field(default_factory=list)  # added to every trial
    rows: list[str] = field(default_factory=list)  # labels of rows to train now; none: all. The table shows every row
    replicas: int = 1  # seeds of a row that are trained at once in one process, where that is faster; 1: each alone
    committed: str | None = "results"  # a folder of records that count as finished too; null: train everything here
    export: bool = False  # copy records, scores and tables to the committed folder, without weights
    profile: int = 30  # dry_run: updates trained to forecast the cost of what no finished run tells; 0: none
    paths: PathsConfig = field(default_factory=PathsConfig)

    def __post_init__(self) -> None:
        """Refuse a look that is over before it is warm, and trainings of nobody."""
        if isinstance(self.replicas, int) and self.replicas < 1:
            raise ConfigurationError(f"replicas is {self.replicas}; it must be at least 1, each seed alone.")
        if isinstance(self.profile, int) and self.profile != 0 and self.profile < 20:
            raise ConfigurationError(
                f"profile is {self.profile}; the first ten updates are a warm-up. Set it to at least 20, or 0 for none."
            )


class InputFormat(Enum):
    """What `seq2seq-translate` reads."""

    text = "text"  # one source per line
    jsonl = "jsonl"  # one JSON object per line: source, and what is asked of its output: prefix, required, allowed


class OutputFormat(Enum):
    """How `seq2seq-translate` answers."""

    text = "text"  # the best hypothesis, one line per line
    jsonl = "jsonl"  # one JSON object per line: n-best with scores and per-token log-probabilities


@dataclass
class TranslateConfig:
    """`seq2seq-translate`: a trained run, lines in, lines out."""

    run: Any = MISSING  # a run directory, or a checkpoint file; [a,b,c]: an ensemble of them
    average: Average = Average.log_probs  # log_probs | probabilities: what of an ensemble's members is averaged
    decoding: DecodingConfig | None = None  # null: the run's
    input: str | None = None  # null: standard input
    output: str | None = None  # null: standard output
    input_format: InputFormat = InputFormat.text
    format: OutputFormat = OutputFormat.text
    attention: bool = False  # jsonl: also the attention weights (target position × source position)
    trace: bool = (
        False  # jsonl: also, step by step, the token fed, the most probable next ones, attention, and the stop
    )
    trace_top: int = 5  # how many most probable tokens a trace tells of each step
    chunk: int = 1024  # lines read, sorted by length, and translated together
    accelerator: Accelerator = Accelerator.auto
    threads: int | None = None

    def __post_init__(self) -> None:
        """Refuse an empty chunk, and details where they would not be written."""
        if isinstance(self.chunk, int) and self.chunk < 1:
            raise ConfigurationError(f"chunk is {self.chunk}; it must be at least 1.")
        if self.attention is True and self.format is OutputFormat.text:
            raise ConfigurationError("attention=true is written in JSON only: set format=jsonl.")
        if self.trace is True and self.format is OutputFormat.text:
            raise ConfigurationError("trace=true is written in JSON only: set format=jsonl.")
        if isinstance(self.trace_top, int) and self.trace_top < 1:
            raise ConfigurationError(f"trace_top is {self.trace_top}; it must be at least 1.")
        if self.trace_top != 5 and self.trace is False:
            raise ConfigurationError(f"trace_top={self.trace_top} changes nothing without trace=true.")


@dataclass
class BenchmarkConfig(Config):
    """`seq2seq-benchmark`: a whole training setting, of which only the speed is looked at."""

    updates: int = 100  # timed, in windows of ten
    warmup: int = 50  # updates before those; trainer.max_steps is the sum of both
    decodings: dict[str, Any] = field(default_factory=dict)  # the searches to time, by name
    batch_sizes: list[int] = field(default_factory=lambda: [32, 128])  # sentences searched at once
    sentences: int | None = None  # search only the first so many of the first test set; null: all
    passes: int = 3  # timed passes of each search over them
    threads: int | None = None  # CPU threads; null: as trainer.threads, or the cores
    output: str | None = None  # the figures as JSON, and beside them as Markdown; null: in the run directory

    def __post_init__(self) -> None:
        """Refuse what would time nothing."""
        for key, least in (("updates", 10), ("warmup", 0), ("passes", 1), ("sentences", 1), ("threads", 1)):
            value = getattr(self, key)
            if isinstance(value, int) and value < least:
                raise ConfigurationError(f"{key} is {value}; it must be at least {least}.")
        for size in self.batch_sizes if isinstance(self.batch_sizes, list) else ():
            if size < 1:
                raise ConfigurationError(f"batch_sizes names {size}; a batch has at least 1 sentence.")

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> BenchmarkConfig:
        """Typed, and checked across groups, with every decoding."""
        config = from_plain(BenchmarkConfig, plain, FAMILIES)
        for search in config.searches().values():
            Config.from_plain(config.training().to_plain() | {"decoding": to_plain(search)})
        return config

    def searches(self) -> dict[str, DecodingConfig]:
        """The decodings as what they are."""
        return from_plain(_Searches, {"decodings": self.decodings}, FAMILIES).decodings

    def training(self) -> Config:
        """The training that is timed: of so many updates, and always anew."""
        plain = {each.name: to_plain(getattr(self, each.name)) for each in fields(Config)}
        plain["fresh"] = True
        plain["trainer"] |= {"max_steps": self.warmup + self.updates, "max_epochs": None}
        plain["trainer"]["threads"] = self.threads or self.trainer.threads
        return Config.from_plain(plain)


class DescribeFormat(Enum):
    """How `seq2seq-data` answers."""

    table = "table"  # sizes, coverage and lengths as tables
    json = "json"  # all of it as one JSON object


@dataclass
class DescribeConfig(Config):
    """`seq2seq-data`: a whole training setting, of which only the data are looked at."""

    picture: str | None = None  # also draw lengths and coverage into this file: .png, .svg or .pdf
    format: DescribeFormat = DescribeFormat.table  # table | json

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> DescribeConfig:
        """Typed, and checked across groups as a training is."""
        config = from_plain(DescribeConfig, plain, FAMILIES)
        Config.from_plain({each.name: to_plain(getattr(config, each.name)) for each in fields(Config)})
        return config


@dataclass
class _Searches:
    """Hydra cannot type the entries of a dict that are of several classes; our own reader can."""

    decodings: dict[str, DecodingConfig] = field(default_factory=dict)
