"""`seq2seq-data data=… text=…`: sizes, lengths, skips, vocabulary coverage and padding share of a corpus."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from omegaconf import DictConfig
from rich.table import Table

from seq2seq_lightning.commands.application import plain, run_application
from seq2seq_lightning.config import Config
from seq2seq_lightning.data.bucketing import padding_share, plan_epoch
from seq2seq_lightning.data.example import EncodedSplit, Pair, encode_split
from seq2seq_lightning.data.tasks import build_task
from seq2seq_lightning.reports.console import console
from seq2seq_lightning.text.building import build_codecs
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec


def task(composed: DictConfig) -> None:
    """Read the corpus as a training would, and describe it."""
    config = Config.from_plain(plain(composed))
    corpus = build_task(config.data).read()
    texts = (pair.source for pair in corpus.train), (pair.target for pair in corpus.train)
    source, target = build_codecs(config.text, *texts)
    splits = {"train": corpus.train, **({"val": corpus.val} if corpus.val else {}), **corpus.test}
    encoded = {name: encode_split(pairs, source, target) for name, pairs in splits.items()}
    terminal = console()
    terminal.print(_sizes(splits, encoded, source, target))
    lengths = encoded["train"].label_lengths(config.text.target.eos)
    plan = plan_epoch(encoded["train"].source_lengths, lengths, config.data.batching, config.seed, 0)
    share = padding_share(plan, encoded["train"].source_lengths, lengths)
    terminal.print(
        f"vocabularies: source {len(source.vocabulary)}, target {len(target.vocabulary)} (4 special ones each)"
    )
    terminal.print(f"one epoch: {len(plan)} batches, padding share {share:.1%} (pad positions ÷ all, source + target)")
    terminal.print("skipped: " + (", ".join(f"{name} {n}" for name, n in corpus.skipped.items()) or "nothing"))


def _sizes(
    splits: dict[str, list[Pair]], encoded: dict[str, EncodedSplit], source: SourceCodec, target: TargetCodec
) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("split", "pairs", "source length", "target length", "source known", "target known"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for name, pairs in splits.items():
        split = encoded[name]
        table.add_row(
            name,
            f"{len(pairs):,}",
            _lengths(split.source_lengths),
            _lengths(split.target_lengths),
            _known(split.source_ids, source.vocabulary.unk_id),
            _known(split.target_ids, target.vocabulary.unk_id),
        )
    return table


def _lengths(lengths: Sequence[int] | np.ndarray) -> str:
    low, median, high = np.percentile(lengths, [0, 50, 100])
    return f"{low:.0f} – {median:.0f} – {high:.0f}"


def _known(ids: np.ndarray, unk_id: int) -> str:
    return f"{(ids != unk_id).mean():.2%}"


def main() -> None:
    """The entry point of the console command."""
    run_application("train", task, "sizes, lengths, skips, vocabulary coverage and padding share of a corpus")


if __name__ == "__main__":
    main()
