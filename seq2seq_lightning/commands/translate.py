"""`seq2seq-translate run=DIR < source > target`: lines in, lines out, in order."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, TextIO

import torch
from omegaconf import DictConfig
from tqdm import tqdm

from seq2seq_lightning.command_config import OutputFormat, TranslateConfig, runs_named
from seq2seq_lightning.commands.answers import answer
from seq2seq_lightning.commands.application import plain, run_application
from seq2seq_lightning.commands.translate_input import Line, read_lines
from seq2seq_lightning.config import FAMILIES
from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.structure import from_plain
from seq2seq_lightning.trained import Trained, load_together
from seq2seq_lightning.training.arithmetic import set_matmul_precision
from seq2seq_lightning.training.decoding_rules import decoding_problems
from seq2seq_lightning.training.devices import device_named


def task(composed: DictConfig) -> None:
    """Translate standard input, or a file, to standard output, or a file."""
    config = from_plain(TranslateConfig, plain(composed), FAMILIES)
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    device = device_named(config.accelerator)
    trained = load_together(runs_named(config.run, config.average), config.average, device)
    problems = list(
        decoding_problems(config.decoding or trained.config.decoding, "decoding", trained.config.searched_model)
    )
    if problems:
        raise ConfigurationError("\n".join(problems))
    set_matmul_precision(trained.config.trainer.matmul_precision, trained.config.width, device)
    with ExitStack() as stack:
        source: BinaryIO = sys.stdin.buffer
        target: TextIO = sys.stdout
        if config.input is not None:
            source = stack.enter_context(_open(config.input))
        if config.output is not None:
            target = stack.enter_context(Path(config.output).open("w", encoding="utf-8", newline="\n"))
        bar = stack.enter_context(tqdm(desc="translating", unit=" lines", disable=not sys.stderr.isatty()))
        read = read_lines(source, config.input or "standard input", config.input_format)
        place = 0
        for lines in _chunks(read, config.chunk):
            target.writelines(f"{line}\n" for line in _answers(trained, lines, config, place))
            target.flush()
            place += sum(bool(line.source.strip()) for line in lines)
            bar.update(len(lines))


def _open(path: str) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except OSError as error:
        raise DataError(f"input={path} cannot be read: {error.strerror}.") from error


def _chunks(lines: Iterator[Line], size: int) -> Iterator[list[Line]]:
    while chunk := list(itertools.islice(lines, size)):
        yield chunk


def _answers(trained: Trained, lines: Sequence[Line], config: TranslateConfig, first_place: int) -> Iterator[str]:
    """One output line per input line; an empty line stays empty. first_place: the lines before that were not."""
    full = [number for number, line in enumerate(lines) if line.source.strip()]
    found = trained.search(
        [lines[number].source for number in full],
        config.decoding,
        asked=[lines[number].asked for number in full],
        with_token_log_probs=config.format is OutputFormat.jsonl,
        with_attention=config.attention,
        trace=config.trace_top if config.trace else 0,
        first_place=first_place,
    )
    answers = dict(zip(full, found, strict=True))
    for number, line in enumerate(lines):
        yield answer(trained, line.source, answers.get(number, []), config)


def main() -> None:
    """The entry point of the console command."""
    run_application("translate", task)


if __name__ == "__main__":
    main()
