"""What a model writes by itself for the sources of a micro-batch, how good that is, and how probable.

Samples are drawn without gradient by the step protocol, then scored with gradient like gold targets, all positions at
once where the architecture permits it. They come from the model as it is: nothing is forbidden, `pad` and `bos` are
words like others, so that the probabilities of all sequences add up to one. Drawing is done in evaluation mode:
dropout would draw from another model at each update. Scoring drops as the rest of training does, each source once for
all of its samples.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from seq2seq_lightning.decoding.loop import steps_between_looks
from seq2seq_lightning.metrics.sentence import SentenceMetric
from seq2seq_lightning.randomness import uniforms
from seq2seq_lightning.teacher_forcing import Sample
from seq2seq_lightning.training.label_losses import label_log_probs
from seq2seq_lightning.training.objectives.objective import TrainingStep

NO_LABEL = -1  # behind the end of a sequence: no id of a vocabulary, where `pad` may be written by a model
_SAMPLE = 1 << 32  # between the places of two samples of one example, in the stream of noise


def length_limits(target_lengths: Tensor, ratio: float, offset: int) -> list[int]:
    """The labels each sample may have, `eos` counted, from those of the gold target: (batch,) on the CPU."""
    return [max(1, math.floor(ratio * length) + offset) for length in target_lengths.tolist()]


@torch.no_grad()
def draw(step: TrainingStep, samples: int, limits: list[int], with_greedy: bool = False) -> Tensor:
    """Ancestral samples of each sentence: (batch, samples, time) labels, `eos` included, NO_LABEL behind the end.

    limits: (batch,), labels after which a sample is cut. with_greedy: the most probable token at each position, as one
    more row before the samples: (batch, 1 + samples, time). The noise is a pure function of (seed, update, place,
    sample, position). The model is left in the mode it was found in.
    """
    batch, width = step.batch, samples + int(with_greedy)
    noise = _noise(step, samples, max(limits))
    with in_evaluation_mode(step.model):
        memory, state = step.model.start(batch.source, batch.source_lengths, batch.copy_ids)
        state = state.select(_rows(len(batch), width, batch.source.device))
        longest = torch.tensor(limits, device=batch.source.device).repeat_interleave(width)
        tokens, done = torch.full_like(longest, step.ids.bos), torch.zeros_like(longest, dtype=torch.bool)
        between_looks, labels = steps_between_looks(tokens.device), []
        for position in range(max(limits)):
            output = step.model.step(tokens, state, memory)
            chosen = _choose(output.log_probs.unflatten(0, (len(batch), width)), noise, position, with_greedy)
            labels.append(chosen.masked_fill(done, NO_LABEL))
            done = done | (chosen == step.ids.eos) | (longest <= position + 1)
            tokens, state = chosen.masked_fill(done, step.ids.pad), output.state
            if (position + 1) % between_looks == 0 and bool(done.all()):
                break
    return torch.stack(labels, 1).unflatten(0, (len(batch), width))


def _noise(step: TrainingStep, samples: int, longest: int) -> Sample:
    """Chooses by one uniform number per (place, sample, position)."""
    places = step.batch.places.unsqueeze(1) + torch.arange(samples, device=step.batch.places.device) * _SAMPLE
    return Sample(uniforms(step.seed, "samples", step.update, places.flatten(), longest))


def _choose(log_probs: Tensor, sample: Sample, position: int, with_greedy: bool) -> Tensor:
    """log_probs: (batch, width, vocab), the greedy row first if there is one. Returns ids (batch · width,)."""
    first = int(with_greedy)
    sampled = log_probs[:, first:].flatten(0, 1)
    rows = torch.arange(len(sampled), device=sampled.device)
    drawn = sample(sampled, rows, position).unflatten(0, (len(log_probs), -1))
    return torch.cat((log_probs[:, :first].argmax(-1), drawn), 1).flatten()


def gold_labels(step: TrainingStep) -> Tensor:
    """The gold targets as one more candidate each: (batch, 1, time)."""
    labels = step.batch.target_labels
    return labels.masked_fill(labels == step.ids.pad, NO_LABEL).unsqueeze(1)


def join(one: Tensor, other: Tensor) -> Tensor:
    """Candidates of the same sentences side by side: (batch, width, time) each, times may differ."""
    time = max(one.shape[2], other.shape[2])
    padded = [nn.functional.pad(each, (0, time - each.shape[2]), value=NO_LABEL) for each in (one, other)]
    return torch.cat(padded, 1)


def is_first(labels: Tensor) -> Tensor:
    """False for a candidate that repeats an earlier one of its sentence: (batch, width) bool."""
    equal = (labels.unsqueeze(2) == labels.unsqueeze(1)).all(-1)
    return ~equal.tril(-1).any(-1)


def log_probs(step: TrainingStep, labels: Tensor) -> Tensor:
    """log p(candidate | source) with gradient: (batch, width). labels: (batch, width, time); no gradient reaches them.

    Sources are read once for all of their candidates.
    """
    model, (batch, width, _) = step.model, labels.shape
    memory, state = model.start(step.batch.source, step.batch.source_lengths, step.batch.copy_ids)
    rows, flat = _rows(batch, width, labels.device), labels.flatten(0, 1)
    inputs = torch.full_like(flat, step.ids.bos)
    inputs[:, 1:] = flat[:, :-1].masked_fill(flat[:, :-1] == NO_LABEL, step.ids.pad)
    readouts = model.decode(inputs, state.select(rows), memory.select(rows))
    return label_log_probs(model, readouts, flat, NO_LABEL).sum(1).unflatten(0, (batch, width))


def rewards(step: TrainingStep, labels: Tensor, metric: SentenceMetric) -> Tensor:
    """The metric of each candidate against its gold target, on the host: (batch, width) float64, from 0 to 1.

    This is where the host waits for the device, once per update. `eos` and what lies behind it are left out.
    """
    batch, eos = step.batch, step.ids.eos
    gold = [row[: row.index(eos)] if eos in row else row for row in batch.target_labels.tolist()]
    found = [
        _scores(candidates, reference, metric, eos) for candidates, reference in zip(labels.tolist(), gold, strict=True)
    ]
    return torch.tensor(found, dtype=torch.float64).to(labels.device)


def _scores(candidates: list[list[int]], reference: list[int], metric: SentenceMetric, eos: int) -> list[float]:
    """Each different candidate is scored once."""
    tokens = [tuple(token for token in row if token not in (NO_LABEL, eos)) for row in candidates]
    known = {each: metric(each, reference) for each in set(tokens)}
    return [known[each] for each in tokens]


def _rows(sentences: int, width: int, device: torch.device) -> Tensor:
    """The sentence of each row, sentence-major: (sentences · width,)."""
    return torch.arange(sentences, device=device).repeat_interleave(width)


@contextmanager
def in_evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Without dropout; afterwards every module has the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
