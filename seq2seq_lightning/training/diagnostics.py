"""Where a model is right, how its outputs go wrong, and which of its parts learn.

Everything is a ratio of whole numbers that are summed over batches and ranks: it does not depend on how the split is
batched or shared.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from seq2seq_lightning.losses import BLOCK_BYTES
from seq2seq_lightning.models.seq2seq import Readouts, Seq2Seq

Tally = dict[str, list[list[int]]]  # curve → [labels, right ones], each by bin

_LAST = (1, 2, 3, 4, 5, 10, 20, 50)  # the last position of each bin but the open one at the end
_POSITIONS = ("1", "2", "3", "4", "5", "6-10", "11-20", "21-50", "51+")
_QUARTERS = ("1", "2", "3", "4")
CURVES: dict[str, Sequence[str]] = {
    "accuracy_at": _POSITIONS,
    "free_running_accuracy_at": _POSITIONS,
    "accuracy_at_source": _POSITIONS,
    "accuracy_at_quarter": _QUARTERS,
}


# -- accuracy by position ----------------------------------------------------------------------------------------------


class PositionCurves:
    """Counts labels, and those that were the most probable token, by where they stand; nothing is read before `plain`.

    A position is counted from 1. Of the target it is the label's own; of the source that which the attention weighs
    most when the label is predicted, among the encoder's states. A model without attention looks at no source position,
    so that its labels are counted by the quarter of their target instead.
    """

    def __init__(self) -> None:
        self._counts: dict[str, Tensor] = {}  # curve → (2, bins) int64, on the model's device

    @torch.no_grad()
    def add_teacher_forced(self, model: Seq2Seq, readouts: Readouts, labels: Tensor, pad_id: int) -> None:
        """Count a batch fed with gold tokens. labels: (batch, target_time), ``pad_id`` where there is none."""
        is_label = labels != pad_id
        is_right = most_probable(model, readouts, labels, pad_id) == labels
        self._count("accuracy_at", _bins_of(_positions(labels)), is_label, is_right)
        if readouts.attention is not None:
            self._count("accuracy_at_source", _bins_of(readouts.attention.argmax(dim=2) + 1), is_label, is_right)
        else:
            lengths = is_label.sum(1, keepdim=True).clamp(min=1)
            quarters = ((_positions(labels) - 1) * 4 // lengths).clamp(max=3)
            self._count("accuracy_at_quarter", quarters, is_label, is_right)

    @torch.no_grad()
    def add_free_running(self, model: Seq2Seq, readouts: Readouts, labels: Tensor, pad_id: int) -> None:
        """Count a batch fed with the model's own tokens, each compared with the label of its position."""
        is_right = most_probable(model, readouts, labels, pad_id) == labels
        self._count("free_running_accuracy_at", _bins_of(_positions(labels)), labels != pad_id, is_right)

    def _count(self, curve: str, bins: Tensor, is_label: Tensor, is_right: Tensor) -> None:
        """bins: (batch, target_time) int64; is_label, is_right: (batch, target_time)."""
        chosen = bins.unsqueeze(2) == torch.arange(len(CURVES[curve]), device=bins.device)
        labels = chosen & is_label.unsqueeze(2)
        counts = torch.stack([labels.sum((0, 1)), (labels & is_right.unsqueeze(2)).sum((0, 1))])
        self._counts[curve] = self._counts[curve] + counts if curve in self._counts else counts

    def plain(self) -> Tally:
        """The counts, to be summed over ranks."""
        return {curve: counts.tolist() for curve, counts in self._counts.items()}


def accuracies(tallies: Iterable[Tally]) -> dict[str, float]:
    """Per cent of the labels of each bin that has any: `<curve>/<bin>`, of the tallies of all ranks."""
    sums: dict[str, Tensor] = {}
    for tally in tallies:
        for curve, counts in tally.items():
            sums[curve] = sums.get(curve, torch.tensor(0)) + torch.tensor(counts)
    return {
        f"{curve}/{name}": 100.0 * right / labels
        for curve in CURVES
        if curve in sums
        for name, labels, right in zip(CURVES[curve], *sums[curve].tolist(), strict=True)
        if labels
    }


def most_probable(model: Seq2Seq, readouts: Readouts, labels: Tensor, pad_id: int) -> Tensor:
    """The token that the model would write where there is a label, pad elsewhere: (batch, target_time).

    Scores of the vocabulary exist for a block of positions at a time.
    """
    found = torch.full_like(labels, pad_id)
    block = max(1, BLOCK_BYTES // (8 * model.vocab))
    for places in (labels != pad_id).nonzero().split(block):
        rows, positions = places.unbind(1)
        found[rows, positions] = model.scores(readouts.at(rows, positions)).argmax(dim=1)
    return found


def _positions(labels: Tensor) -> Tensor:
    """(batch, target_time), counted from 1."""
    return torch.arange(1, labels.shape[1] + 1, device=labels.device).expand_as(labels)


def _bins_of(positions: Tensor) -> Tensor:
    """The bin of each position, which counts from 1: as many as there are bins that end before it."""
    return torch.bucketize(positions.contiguous(), torch.tensor(_LAST, device=positions.device))


# -- outputs of search -------------------------------------------------------------------------------------------------


def output_diagnostics(
    hypotheses: Sequence[Sequence[Hashable]], references: Sequence[Sequence[Hashable]], finished: Sequence[bool] | None
) -> dict[str, float]:
    """Of hypotheses and references as tokens without `eos`: how long, how repetitive, how often cut.

    length_ratio: tokens of all hypotheses ÷ tokens of all references. repetition_rate: the share of bigrams that
    stood before in the same hypothesis (seq-rep-n of Welleck et al. 2020, arXiv 1908.04319, with n = 2, summed over the
    split instead of averaged); reference_repetition_rate is what it should be. unfinished: the share of hypotheses that
    did not end with `eos`; None for finished where none does.
    """
    tokens = sum(len(reference) for reference in references)
    found = {
        "length_ratio": sum(len(hypothesis) for hypothesis in hypotheses) / max(tokens, 1),
        "repetition_rate": repetition_rate(hypotheses),
        "reference_repetition_rate": repetition_rate(references),
    }
    return found if finished is None else found | {"unfinished": 1 - sum(finished) / len(finished)}


def repetition_rate(sequences: Sequence[Sequence[Hashable]]) -> float:
    """The share of bigrams that stood before in the same sequence; 0 where there is no bigram."""
    bigrams = sum(max(len(sequence) - 1, 0) for sequence in sequences)
    distinct = sum(len(set(pairwise(sequence))) for sequence in sequences)
    return (bigrams - distinct) / max(bigrams, 1)


# -- gradients ---------------------------------------------------------------------------------------------------------


def part_of(name: str) -> str:
    """The part of the model that a parameter belongs to: encoder, bridge, attention, decoder or output_layer."""
    return "attention" if name.startswith("decoder.attention.") else name.split(".")[0]


def gradient_norms(model: nn.Module) -> dict[str, Tensor]:
    """The norm of each part's gradient: scalars on the device. Their squares sum to that of the whole.

    A parameter that several parts share counts for the first of them: a tied output layer for the decoder, or for the
    encoder where its embedding is shared too.
    """
    gradients: dict[str, list[Tensor]] = {}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            gradients.setdefault(part_of(name), []).append(parameter.grad)
    return {part: torch.nn.utils.get_total_norm(each) for part, each in gradients.items()}


def read_norms(norms: Mapping[str, Tensor]) -> dict[str, float]:
    """The norms as numbers, read at once: `gradient_norm/<part>`."""
    values = torch.stack(list(norms.values())).tolist() if norms else []
    return {f"gradient_norm/{part}": value for part, value in zip(norms, values, strict=True)}
