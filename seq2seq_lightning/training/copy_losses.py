"""The losses of labels that may be generated or copied (See et al. 2017, eq. 6 and 9).

What the mixture adds to the generator's losses is a few numbers per position: the gate, and the attention on those
source positions that hold the label. Of positions × vocabulary, a block of logits exists at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seq2seq_lightning.losses import TokenLosses, mixture_losses, position_nll
from seq2seq_lightning.models.copying import copied_mass, log_shares
from seq2seq_lightning.models.seq2seq import Readouts, Seq2Seq

POSITIONS_AT_ONCE = 256  # whose distribution over all words exists at one time, where the best word is asked for


def copy_losses(
    model: Seq2Seq, readouts: Readouts, labels: Tensor, pad_id: int, count_correct: bool = False
) -> TokenLosses:
    """Sum -log P(label) over real positions, unsmoothed; as ``losses.token_losses``.

    labels: (batch, target_time), beyond the vocabulary where only a copy can give them.
    """
    layer, found = model.output_layer, _Labelled.of(model, readouts, labels, pad_id)
    losses = mixture_losses(found.readout, layer.weight, layer.bias, found.known, found.share, found.copied, pad_id)
    return replace(losses, correct=_count_correct(model, readouts, labels, pad_id)) if count_correct else losses


def copy_log_probs(model: Seq2Seq, readouts: Readouts, labels: Tensor, no_label: int) -> Tensor:
    """log P(label) of each position with gradient, zero where the label is ``no_label``: (rows, time), as labels."""
    layer, found = model.output_layer, _Labelled.of(model, readouts, labels, no_label)
    generated = -position_nll(found.readout, layer.weight, layer.bias, found.known, no_label)
    log_probs = torch.logaddexp(found.share + generated, found.copied).squeeze(1)
    return log_probs.new_zeros(labels.shape).index_put(found.places, log_probs)


@dataclass(frozen=True)
class _Labelled:
    """The n positions with a label, each a target of its own: (n, 1), or (n, 1, size) for the readout."""

    places: tuple[Tensor, ...]  # rows and positions, (n,) each
    readout: Tensor
    known: Tensor  # the labels, or the unknown word where the vocabulary lacks one
    share: Tensor  # log p_gen, -inf where it lacks one
    copied: Tensor  # log probability of getting the label by a copy

    @classmethod
    def of(cls, model: Seq2Seq, readouts: Readouts, labels: Tensor, no_label: int) -> _Labelled:
        places = (labels != no_label).nonzero(as_tuple=True)
        real, found = labels[places], readouts.at(*places)
        assert found.gate is not None and found.attention is not None and found.copy_ids is not None
        mass = copied_mass(found.attention, found.copy_ids, real)
        share, copied = log_shares(found.gate, mass, real < model.vocab)
        each = (values.unsqueeze(1) for values in (found.readout, model.known(real), share, copied))
        return cls(places, *each)


@torch.no_grad()
def _count_correct(model: Seq2Seq, readouts: Readouts, labels: Tensor, pad_id: int) -> Tensor:
    """How often the most probable word of all is the label: scalar int64."""
    correct = torch.zeros((), dtype=torch.int64, device=labels.device)
    for places in (labels != pad_id).nonzero().split(POSITIONS_AT_ONCE):
        rows, positions = places.unbind(1)
        correct += (model.scores(readouts.at(rows, positions)).argmax(dim=1) == labels[rows, positions]).sum()
    return correct
