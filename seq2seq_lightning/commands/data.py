"""`seq2seq-data data=… text=…`: sizes, lengths, skips, vocabulary coverage and padding share of a corpus."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from omegaconf import DictConfig

from seq2seq_lightning.command_config import DescribeConfig, DescribeFormat
from seq2seq_lightning.commands.application import plain, run_application
from seq2seq_lightning.data.description import describe
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.reports.console import console
from seq2seq_lightning.reports.corpus import corpus_tables
from seq2seq_lightning.reports.corpus_picture import check_ending, draw_corpus
from seq2seq_lightning.text.building import build_codecs


def task(composed: DictConfig) -> None:
    """Read the corpus as a training would, and describe it."""
    config = DescribeConfig.from_plain(plain(composed))
    if config.picture is not None:
        check_ending(config.picture)
    corpus = build_task(config.data).read()
    texts = (pair.source for pair in corpus.train), (pair.target for pair in corpus.train)
    source, target = build_codecs(config.text, *texts)
    figures = asdict(describe(corpus, source, target, config.data.batching, config.seed))
    if config.picture is not None:
        draw_corpus(figures, Path(config.picture))
    if config.format is DescribeFormat.json:
        print(json.dumps(figures, ensure_ascii=False, indent=2))
        return
    terminal = console()
    for table in corpus_tables(figures):
        terminal.print(table, highlight=False)


def main() -> None:
    """The entry point of the console command."""
    run_application("describe", task)


if __name__ == "__main__":
    main()
