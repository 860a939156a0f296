"""SCAN, generated from its grammar: every split that follows from a rule, the random ones from a documented seed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum

import torch

from seq2seq_lightning.data.example import Corpus, Pair
from seq2seq_lightning.data.tasks.reading import content_hash, raw_lines, text_of
from seq2seq_lightning.data.tasks.scan_grammar import PRIMITIVES, commands
from seq2seq_lightning.data.tasks.task import DataConfig, Task
from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.randomness import uniforms

GENERATOR_VERSION = 1  # raise when the same fields give other pairs


class ScanSplit(Enum):
    """The published splits (Lake and Baroni 2018; Loula, Baroni and Lake 2018)."""

    all = "all"
    simple = "simple"
    length = "length"
    add_jump = "add_jump"
    add_turn_left = "add_turn_left"
    template_jump_around_right = "template_jump_around_right"
    template_right = "template_right"
    template_opposite_right = "template_opposite_right"
    template_around_right = "template_around_right"
    filler_0 = "filler_0"
    filler_1 = "filler_1"
    filler_2 = "filler_2"
    filler_3 = "filler_3"
    simple_p1 = "simple_p1"
    simple_p2 = "simple_p2"
    simple_p4 = "simple_p4"
    simple_p8 = "simple_p8"
    simple_p16 = "simple_p16"
    simple_p32 = "simple_p32"
    simple_p64 = "simple_p64"


@dataclass
class ScanConfig(DataConfig):
    """Commands to actions; the test set is named `test`, there is no validation split."""

    name: str = "scan"
    split: ScanSplit = ScanSplit.simple
    # seed of our own draw of `simple` (80 %) and `simple_pN` (N %); the draws are nested, and the test set of
    # `simple_pN` is everything else
    split_seed: int = 1
    # released files (`IN: … OUT: …` lines, plain or gzip) to read instead of generating; `split` then decides nothing
    train_file: str = ""
    test_file: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test_file and not self.train_file:
            raise ConfigurationError(
                f"`data.test_file={self.test_file}` is given without a training file. "
                "Set `data.train_file=…` too, or neither to generate both."
            )

    @property
    def has_validation(self) -> bool:
        """See ``DataConfig.has_validation``."""
        return False


class ScanTask(Task):
    """Generates a split in a fraction of a second, or reads released files."""

    config: ScanConfig

    def read(self) -> Corpus:
        """The pairs of the split; what a rule repeats is repeated."""
        if self.config.train_file:
            test_file = self.config.test_file
            test = {"test": _released(test_file, "data.test_file")} if test_file else {}
            return Corpus(_released(self.config.train_file, "data.train_file"), test=test)
        train, test_pairs = _divide(all_pairs(), self.config.split, self.config.split_seed)
        return Corpus(train, test={"test": test_pairs} if test_pairs else {})

    def identity(self) -> dict[str, str]:
        """The split and, where it is random, its seed; or the content of the files."""
        config = self.config
        if config.train_file:
            test = {"test": content_hash(config.test_file, "data.test_file")} if config.test_file else {}
            return {"task": config.name, "train": content_hash(config.train_file, "data.train_file")} | test
        seed = {"split_seed": str(config.split_seed)} if config.split.value.startswith("simple") else {}
        return {"task": config.name, "generator": str(GENERATOR_VERSION), "split": config.split.value} | seed


def all_pairs() -> list[Pair]:
    """The 20,910 pairs in the order of the grammar."""
    return [Pair.of(command, " ".join(actions)) for command, actions in commands()]


Division = tuple[list[Pair], list[Pair]]  # train, test


def _divide(pairs: list[Pair], split: ScanSplit, seed: int) -> Division:
    if split in RULES:
        return RULES[split](pairs)
    share = int(split.value.removeprefix("simple_p")) if split is not ScanSplit.simple else 80
    return _simple(pairs, share, seed)


def _simple(pairs: list[Pair], percent: int, seed: int) -> Division:
    """The first ``percent`` of one random order, so that smaller draws lie inside larger ones; the rest is the test."""
    order = uniforms(seed, "scan_simple", 0, torch.arange(len(pairs)), 1)[:, 0].argsort(stable=True).tolist()
    count = percent * len(pairs) // 100
    return [pairs[row] for row in order[:count]], [pairs[row] for row in order[count:]]


def _everything(pairs: list[Pair]) -> Division:
    return pairs, []


def _length(pairs: list[Pair]) -> Division:
    """Up to 22 actions in training, 24 and more in the test; no command has 23."""
    short = [pair for pair in pairs if len(pair.target.split()) <= 22]
    return short, [pair for pair in pairs if len(pair.target.split()) > 22]


def _add_primitive(phrase: str) -> Callable[[list[Pair]], Division]:
    """Training knows the phrase alone only, repeated until it makes up a tenth of the lines."""

    def divide(pairs: list[Pair]) -> Division:
        alone = next(pair for pair in pairs if pair.source == phrase)
        others = [pair for pair in pairs if not _has_any(pair, [phrase])]
        composed = [pair for pair in pairs if _has_any(pair, [phrase]) and pair is not alone]
        return others + [alone] * (len(others) // 9), composed

    return divide


def _template(
    tail: str, held_out: Iterable[str] = PRIMITIVES, fillers: Iterable[str] = ()
) -> Callable[[list[Pair]], Division]:
    """The test has the tail behind a held-out word, training behind fillers only; `turn <tail>` is in neither."""
    tested = [f"{word} {tail}" for word in held_out]
    absent = [f"{word} {tail}" for word in (*PRIMITIVES, "turn") if word not in fillers]

    def divide(pairs: list[Pair]) -> Division:
        train = [pair for pair in pairs if not _has_any(pair, absent)]
        test = [pair for pair in pairs if _has_any(pair, tested) and not _has_any(pair, [f"turn {tail}"])]
        return train, test

    return divide


def _has_any(pair: Pair, phrases: Iterable[str]) -> bool:
    """Whether one of the phrases occurs in the command as whole words."""
    command = f" {pair.source} "
    return any(f" {phrase} " in command for phrase in phrases)


RULES: dict[ScanSplit, Callable[[list[Pair]], Division]] = {
    ScanSplit.all: _everything,
    ScanSplit.length: _length,
    ScanSplit.add_jump: _add_primitive("jump"),
    ScanSplit.add_turn_left: _add_primitive("turn left"),
    ScanSplit.template_jump_around_right: _template("around right", ["jump"], ["look", "walk", "run"]),
    ScanSplit.template_right: _template("right"),
    ScanSplit.template_opposite_right: _template("opposite right"),
    ScanSplit.template_around_right: _template("around right"),
    ScanSplit.filler_0: _template("around right", ["jump"]),
    ScanSplit.filler_1: _template("around right", ["jump"], ["look"]),
    ScanSplit.filler_2: _template("around right", ["jump"], ["look", "walk"]),
    ScanSplit.filler_3: _template("around right", ["jump"], ["look", "walk", "run"]),
}


def _released(path: str, key: str) -> list[Pair]:
    """The pairs of a released file."""
    pairs = []
    for number, raw in enumerate(raw_lines(path, key), start=1):
        match = re.fullmatch(r"IN: (\S.*) OUT: (\S.*)", text_of(raw, f"{path}:{number}"))
        if match is None:
            raise DataError(
                f"{path}:{number}: expected `IN: <command> OUT: <actions>`, found {raw[:80]!r}. "
                f"Give a file of the SCAN release as `{key}`, or leave the key out to generate the split."
            )
        pairs.append(Pair.of(match[1], match[2]))
    if not pairs:
        raise DataError(
            f"`{key}={path}`: the file has no lines. Give a file of the SCAN release, or leave the key out."
        )
    return pairs
