"""What several seeds at once cost beside one: milliseconds an update on one thread, in turns within one process.

    python benchmarks/replicas.py --output FIGURES.md

Each row is a model at one pair per update (or `--rows`), half of the pairs fed own tokens. `one` is a training step of
an ordinary run, `one, stacked` the same with the code of replicas, `many` that of all replicas together. With
`--ragged` pairs have the lengths of SCAN, and those of an update differ; otherwise 8 source and 15 target positions.
CPU time by default, which other programs disturb less; `--wall` for the time on the clock.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2seq_lightning.config import Config
from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.models.replicas.model import Replicas
from seq2seq_lightning.models.seq2seq import Seq2Seq, build_model
from seq2seq_lightning.randomness import reseed, stream_seed
from seq2seq_lightning.teacher_forcing.feeding import Granularity
from seq2seq_lightning.teacher_forcing.gold_mask import draw_gold_masks
from seq2seq_lightning.training.feeding import Feeder
from seq2seq_lightning.training.label_losses import label_losses
from seq2seq_lightning.training.optimizers import build_optimizer
from seq2seq_lightning.training.replicas.data import Share

SOURCE_VOCAB, TARGET_VOCAB, PAD, FIRST = 17, 10, 0, 4  # those of SCAN
SCAN_LENGTHS = ((5, 4), (7, 8), (8, 12), (8, 17), (9, 22), (9, 33))  # six parts of its pairs, each by its middle
MODELS = {  # cell, units, layers, attention
    "lstm 1 × 50": ("lstm", 50, 1, None),
    "lstm 1 × 100": ("lstm", 100, 1, None),
    "lstm 2 × 200": ("lstm", 200, 2, None),
    "gru 1 × 50, attention": ("gru", 50, 1, "additive"),
    "lstm 1 × 100, attention": ("lstm", 100, 1, "additive"),
}
WARM = 150  # updates before the first round, after which every length has been met
Step = Callable[[], None]
Lengths = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    cell: str
    units: int
    layers: int
    attention: str | None
    rows: int
    lengths: Lengths

    @property
    def config(self) -> Config:
        """A model of this form, asked by the state before each position, dropout 0.1 on embeddings."""
        side: dict[str, Any] = {"embedding_size": self.units, "hidden_size": self.units, "layers": self.layers}
        side["dropout"] = {"embedding": 0.1}
        sees = {"context": "initial"} if self.attention is None else {"context": "attention", "query": "previous"}
        decoder = side | sees | {"readout": {"activation": "none"}}
        parts = {"cell": self.cell, "attention": self.attention or "additive", "bridge": "copy"}
        model = {key: {"name": name} for key, name in parts.items()} | {"encoder": side, "decoder": decoder}
        feeding = {"name": "constant", "ratio": 0.5, "granularity": "sequence"}
        optimizer = {"name": "adam", "clip_norm": 5.0}
        return Config.from_plain({"model": model, "teacher_forcing": feeding, "optimizer": optimizer})

    def model(self, seed: int) -> Seq2Seq:
        """A model that is about to be trained."""
        return build_model(self.config.model, SOURCE_VOCAB, TARGET_VOCAB, PAD, seed).train()

    def batches(self, count: int) -> Iterator[tuple[list[Share], Tensor, Tensor, Tensor, Tensor]]:
        """Shares, source, lengths, target inputs and labels of endless updates of so many replicas."""
        chance, noise = random.Random(1), torch.Generator().manual_seed(1)
        while True:
            widths = [chance.choice(self.lengths) for _ in range(count)]
            shares = [Share(self.rows, source, target, self.rows * target, 0) for source, target in widths]
            own = [torch.tensor(each).repeat_interleave(self.rows) for each in zip(*widths, strict=True)]
            source, target = (
                torch.randint(FIRST, vocab, (count * self.rows, int(lengths.max())), generator=noise)
                for vocab, lengths in zip((SOURCE_VOCAB, TARGET_VOCAB), own, strict=True)
            )
            labels = target.masked_fill(torch.arange(target.shape[1]) >= own[1].unsqueeze(1), PAD)
            yield shares, source, own[0], target, labels


def one(setting: Setting) -> Step:
    """An update of an ordinary training."""
    config, model = setting.config, setting.model(0)
    optimizer, feeder = build_optimizer(config.optimizer, model.parameters()), Feeder(config.teacher_forcing, 0)
    batches, places, update = setting.batches(1), torch.arange(setting.rows), 0

    def step() -> None:
        nonlocal update
        (share,), source, lengths, target, labels = next(batches)
        indices = [lengths, target, labels, (labels != PAD).sum(1), places, places]
        batch = Batch(source, *indices, label_count=share.labels, sentence_count=setting.rows)
        reseed(source.device, 0, "dropout", update, 0, 0)
        fed = feeder.feed(model, batch, 0.5, update)
        optimizer.zero_grad()
        (label_losses(model, fed.parts[0].readouts, batch, PAD).total / share.labels).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        update += 1

    return step


def many(setting: Setting, count: int) -> Step:
    """An update of several replicas."""
    replicas = Replicas([setting.model(seed) for seed in range(count)])
    optimizer = build_optimizer(setting.config.optimizer, [replicas.block.values])
    batches, places, update = setting.batches(count), torch.arange(setting.rows).repeat(count), 0

    def step() -> None:
        nonlocal update
        shares, source, lengths, target, labels = next(batches)
        seeds = [stream_seed(seed, "dropout", update, 0, 0) for seed in range(count)]
        drawn = replicas.draw(shares, seeds, setting.rows, source.shape[1], target.shape[1])
        gold = draw_gold_masks(0.5, Granularity.sequence, range(count), update, places, target.shape[1])
        assert gold is not None
        own = (labels != PAD) & ~gold
        begun = replicas.begin(source, lengths, target, drawn)
        readouts = replicas.unroll(begun, own if own.any() else None, [share.target_time for share in shares])
        logits = replicas.logits(readouts.readout).flatten(0, 1)
        losses = F.cross_entropy(logits, labels.flatten(), ignore_index=PAD, reduction="none").view(count, -1).sum(1)
        replicas.backward((losses / torch.tensor([share.labels for share in shares])).sum())
        replicas.clip(5.0)
        optimizer.step()
        update += 1

    return step


def measure(steps: Sequence[Step], clock: Callable[[], float], rounds: int, updates: int) -> list[list[float]]:
    """Milliseconds an update of each, round by round, in turns; the first round warms up."""
    found: list[list[float]] = [[] for _ in steps]
    for turn in range(rounds + 1):
        for times, step in zip(found, steps, strict=True):
            began = clock()
            for _ in range(updates if turn else WARM):
                step()
            if turn:
                times.append(1000 * (clock() - began) / updates)
    return found


def row(name: str, found: list[list[float]]) -> str:
    """A line of the table: medians, and the ratios' median (range) over rounds."""
    alone, stacked, at_once = found
    ratios = [
        f"{statistics.median(ratio):.2f} ({min(ratio):.2f}–{max(ratio):.2f})"
        for ratio in ([c / a for a, c in zip(base, at_once, strict=True)] for base in (alone, stacked))
    ]
    times = " | ".join(f"{statistics.median(each):.1f}" for each in found)
    return f"| {name} | {times} | {' | '.join(ratios)} |"


def main() -> None:
    """Print the table, and write it where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--replicas", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1, help="pairs per update of each replica")
    parser.add_argument("--ragged", action="store_true", help="pairs of the lengths that SCAN has")
    parser.add_argument("--wall", action="store_true", help="time on the clock instead of CPU time")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--updates", type=int, default=20, help="of each in a round")
    parser.add_argument("--only", default="", help="models whose name contains this")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    clock = time.perf_counter if asked.wall else time.thread_time
    lines = [
        f"| ms an update | one | one, stacked | {asked.replicas} at once | ÷ one | ÷ one, stacked |",
        "|---|---:|---:|---:|---|---|",
    ]
    for name, form in MODELS.items():
        if asked.only not in name:
            continue
        setting = Setting(*form, asked.rows, SCAN_LENGTHS if asked.ragged else ((8, 15),))
        steps = [one(setting), many(setting, 1), many(setting, asked.replicas)]
        lines.append(row(name, measure(steps, clock, asked.rounds, asked.updates)))
        print(lines[-1], flush=True)
    if asked.output is not None:
        asked.output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
