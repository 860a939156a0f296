"""One micro-batch with a small model, as an objective sees it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.decoding.protocol import SpecialIds
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.models.seq2seq import Seq2Seq, build_model
from seq2seq_lightning.teacher_forcing import TeacherForcingConfig
from seq2seq_lightning.teacher_forcing.schedules import ConstantConfig
from seq2seq_lightning.training.feeding import Feeder
from seq2seq_lightning.training.objectives import TrainingStep

IDS = SpecialIds(pad=0, bos=1, eos=2)
VOCAB = 9


def make_model(config: ModelConfig | None = None, target_vocab: int = VOCAB, dropout: float = 0.0) -> Seq2Seq:
    config = config or ModelConfig()
    for side in (config.encoder, config.decoder):
        side.embedding_size, side.hidden_size, side.dropout.embedding = 5, 6, dropout
    config.decoder.dropout.output = dropout
    return build_model(config, VOCAB, target_vocab, IDS.pad, seed=3, unk_id=3).double()


def make_batch(rows: int = 3, seed: int = 0, target_vocab: int = VOCAB) -> Batch:
    """Random ids with unequal lengths, longest first."""
    random = np.random.default_rng(seed)
    lengths = torch.arange(rows, 0, -1) + 1
    source = torch.from_numpy(random.integers(4, VOCAB, (rows, rows + 1)))
    labels = torch.from_numpy(random.integers(3, target_vocab, (rows, rows + 1)))
    places = torch.arange(rows + 1)
    labels[places == lengths.unsqueeze(1) - 1] = IDS.eos
    real = places < lengths.unsqueeze(1)
    labels, source = labels * real, source * real
    inputs = torch.cat((torch.full((rows, 1), IDS.bos), torch.where(labels == IDS.eos, 0, labels)[:, :-1]), 1)
    indices = torch.arange(rows)
    return Batch(source, lengths, inputs, labels, lengths, indices, indices, int(real.sum()), rows)


def part(batch: Batch, rows: list[int]) -> Batch:
    """Some rows of a global batch as a micro-batch of it, cut to their own width."""
    lengths = batch.source_lengths[rows]
    width = int(lengths.max())
    cut = {name: getattr(batch, name)[rows, :width] for name in ("source", "target_inputs", "target_labels")}
    return replace(
        batch,
        **cut,
        source_lengths=lengths,
        target_lengths=batch.target_lengths[rows],
        indices=batch.indices[rows],
        places=batch.places[rows],
    )


def filler(batch: Batch) -> Batch:
    """What a rank is given when there is no row left for it."""
    row = part(batch, [0])
    labels = torch.full_like(row.target_labels, IDS.pad)
    return replace(row, target_labels=labels, places=torch.tensor([len(batch)]))


def make_step(
    model: Seq2Seq | None = None,
    batch: Batch | None = None,
    feeding: TeacherForcingConfig | None = None,
    ratio: float = 1.0,
    update: int = 0,
    is_logged: bool = False,
) -> TrainingStep:
    model, batch = model or make_model(), batch or make_batch()
    feeder = Feeder(feeding or ConstantConfig(), seed=1)
    feed = lambda: feeder.feed(model, batch, ratio, update)  # noqa: E731
    return TrainingStep(model, batch, IDS, 1, update, feed=feed, is_logged=is_logged)
