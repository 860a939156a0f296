"""Everything that a small model could write, and how probable it is, token by token through the step protocol."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.training.objectives import TrainingStep
from tests.training.objectives.steps import IDS, make_batch, make_model, make_step

TINY = 5  # pad, bos, eos and two words
LIMIT = 2  # labels: 1 + 4 · 5 = 21 sequences


def tiny_step(rows: int = 2, **options) -> TrainingStep:
    """A model of five target ids, sources of two rows."""
    model = make_model(target_vocab=TINY, **options)
    with torch.no_grad():  # of a model that prefers something to something
        model.output_layer.weight.mul_(4)
    return make_step(model, make_batch(rows, target_vocab=TINY))


def all_sequences(vocab: int = TINY, limit: int = LIMIT) -> list[tuple[int, ...]]:
    """What ends with eos, or at the limit."""

    def continued(prefix: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        if len(prefix) == limit or prefix[-1:] == (IDS.eos,):
            yield prefix
        else:
            for token in range(vocab):
                yield from continued((*prefix, token))

    return list(continued(()))


def log_prob(step: TrainingStep, row: int, labels: tuple[int, ...]) -> Tensor:
    """log p of one sequence, for one sentence alone, with gradient."""
    length = int(step.batch.source_lengths[row])
    one, copy_ids = slice(row, row + 1), step.batch.copy_ids
    copied = None if copy_ids is None else copy_ids[one, :length]
    memory, state = step.model.start(step.batch.source[one, :length], torch.tensor([length]), copied)
    total, token = torch.zeros((), dtype=torch.float64), IDS.bos
    for label in labels:
        output = step.model.step(torch.tensor([token]), state, memory)
        total, token, state = total + output.log_probs[0, label], label, output.state
    return total


def gold(step: TrainingStep, row: int) -> list[int]:
    """The gold target without eos."""
    return step.batch.target_labels[row, : int(step.batch.target_lengths[row]) - 1].tolist()


def gradient(model: Seq2Seq, value: Tensor) -> Tensor:
    """Of a scalar with respect to all parameters, as one vector; zeros where none arrives."""
    parameters = list(model.parameters())
    found = torch.autograd.grad(value, parameters, allow_unused=True)
    pairs = zip(found, parameters, strict=True)
    return torch.cat([(torch.zeros_like(own) if each is None else each).flatten() for each, own in pairs])
