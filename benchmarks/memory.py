"""The peak memory of training, by labels per batch and size of the vocabulary; a process of its own for each figure.

    python benchmarks/memory.py [--labels 1024 2048 4096] [--vocabularies 8000 32000]

Trains the same model for a few updates with three losses: ours, in blocks; ours of a model that copies; and torch's
cross-entropy over all logits at once. Prints a Markdown table of peak resident memory in MiB.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.models.decoder_config import Copy, DecoderConfig
from seq2seq_lightning.models.encoder import EncoderConfig
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.models.seq2seq import Seq2Seq, build_model
from seq2seq_lightning.training.label_losses import label_losses

PAD, BOS, EOS, UNK = range(4)
LENGTH, SIZE, UPDATES = 32, 128, 3
LOSSES = {"blocks": "ours", "copying": "ours, copying", "plain": "all logits at once"}


@dataclass(frozen=True)
class Setting:
    """What one process trains."""

    loss: str
    vocabulary: int
    labels: int

    def peak(self) -> float:
        """MiB, measured in a process of its own."""
        words = [sys.executable, __file__, "--one", self.loss, str(self.vocabulary), str(self.labels)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        return float(done.stdout)


def train(setting: Setting) -> None:
    """A few updates on random tokens."""
    torch.manual_seed(0)
    copy = Copy.pointer_generator if setting.loss == "copying" else Copy.none
    config = ModelConfig(
        encoder=EncoderConfig(embedding_size=SIZE, hidden_size=SIZE),
        decoder=DecoderConfig(embedding_size=SIZE, hidden_size=SIZE, copy=copy),
    )
    model = build_model(config, setting.vocabulary, setting.vocabulary, PAD, 1, UNK)
    optimizer = torch.optim.Adam(model.parameters())
    for _ in range(UPDATES):
        optimizer.zero_grad()
        loss(model, random_batch(setting), setting).backward()
        optimizer.step()


def random_batch(setting: Setting) -> Batch:
    """Full rows, so that every position has a label; one source word in 16 is one that the target lacks."""
    rows = setting.labels // LENGTH
    source = torch.randint(EOS + 1, setting.vocabulary, (rows, LENGTH))
    labels = torch.randint(EOS + 1, setting.vocabulary, (rows, LENGTH))
    inputs = labels.roll(1, 1)
    inputs[:, 0] = BOS
    copy_ids = source.clone()
    copy_ids[:, ::16] = setting.vocabulary + torch.arange(LENGTH // 16)
    labels[:, ::16] = copy_ids[:, ::16] if setting.loss == "copying" else labels[:, ::16]
    lengths, places = torch.full((rows,), LENGTH), torch.arange(rows)
    return Batch(source, lengths, inputs, labels, lengths, places, places, setting.labels, rows, copy_ids)


def loss(model: Seq2Seq, batch: Batch, setting: Setting) -> Tensor:
    """The mean over labels."""
    readouts = model.readouts(batch.source, batch.source_lengths, batch.target_inputs, copy_ids=batch.copy_ids)
    if setting.loss == "plain":
        return F.cross_entropy(model.output_layer(readouts.readout).flatten(0, 1), batch.target_labels.flatten())
    return label_losses(model, readouts, batch, PAD).total / setting.labels


def table(vocabularies: Sequence[int], labels: Sequence[int]) -> str:
    """Markdown: a row for each number of labels, a column for each vocabulary and loss."""
    columns = [(vocabulary, name) for vocabulary in vocabularies for name in LOSSES]
    titles = [f"{vocabulary:,} words, {LOSSES[name]}" for vocabulary, name in columns]
    lines = [f"| labels per batch | {' | '.join(titles)} |", f"|---:|{'---:|' * len(columns)}"]
    for count in labels:
        peaks = [f"{Setting(name, vocabulary, count).peak():,.0f}" for vocabulary, name in columns]
        lines.append(f"| {count:,} | {' | '.join(peaks)} |")
    return "\n".join(lines)


def main() -> None:
    """Measure everything, or (for a process of its own) one setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--labels", type=int, nargs="+", default=[1024, 2048, 4096])
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[8000, 32000])
    parser.add_argument("--one", nargs=3, metavar=("LOSS", "VOCABULARY", "LABELS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is None:
        print(table(arguments.vocabularies, arguments.labels))
        return
    name, vocabulary, labels = arguments.one
    train(Setting(name, int(vocabulary), int(labels)))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


if __name__ == "__main__":
    main()
