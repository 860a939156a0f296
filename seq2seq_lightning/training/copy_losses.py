"""The losses of labels that may be generated or copied (See et al. 2017, eq. 6 and 9).

What the mixture adds to the generator's losses is a few numbers per position: the gate, and the attention on those
source positions that hold the label. Of positions × vocabulary, a block of logits exists at a time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seq2seq_lightning.losses import TokenLosses, position_nll
from seq2seq_lightning.models.copying import copied_mass, mixed_label_log_probs
from seq2seq_lightning.models.seq2seq import Readouts, Seq2Seq

POSITIONS_AT_ONCE = 256  # whose distribution over all words exists at one time, where the best word is asked for


def copy_losses(
    model: Seq2Seq, readouts: Readouts, labels: Tensor, pad_id: int, count_correct: bool = False
) -> TokenLosses:
    """Sum -log P(label) over real positions, unsmoothed; as ``losses.token_losses``.

    labels: (batch, target_time), beyond the vocabulary where only a copy can give them.
    """
    total = -copy_log_probs(model, readouts, labels, pad_id).sum()
    correct = _count_correct(model, readouts, labels, pad_id) if count_correct else None
    return TokenLosses(total, total.detach(), (labels != pad_id).sum(), correct)


def copy_log_probs(model: Seq2Seq, readouts: Readouts, labels: Tensor, no_label: int) -> Tensor:
    """log P(label) of each position with gradient, zero where the label is ``no_label``: (rows, time), as labels."""
    places = (labels != no_label).nonzero(as_tuple=True)
    real, found = labels[places], readouts.at(*places)
    assert found.gate is not None and found.attention is not None and found.copy_ids is not None
    mass = copied_mass(found.attention, found.copy_ids, real)
    log_probs = mixed_label_log_probs(_generated(model, found.readout, real, no_label), found.gate, mass)
    return log_probs.new_zeros(labels.shape).index_put(places, log_probs)


def _generated(model: Seq2Seq, readout: Tensor, labels: Tensor, no_label: int) -> Tensor:
    """log P_gen(label), -inf beyond the vocabulary. readout: (n, size), labels: (n,)."""
    layer = model.output_layer
    nll = position_nll(readout.unsqueeze(1), layer.weight, layer.bias, model.known(labels).unsqueeze(1), no_label)
    return -nll.squeeze(1).masked_fill(labels >= model.vocab, torch.inf)


@torch.no_grad()
def _count_correct(model: Seq2Seq, readouts: Readouts, labels: Tensor, pad_id: int) -> Tensor:
    """How often the most probable word of all is the label: scalar int64."""
    correct = torch.zeros((), dtype=torch.int64, device=labels.device)
    for places in (labels != pad_id).nonzero().split(POSITIONS_AT_ONCE):
        rows, positions = places.unbind(1)
        correct += (model.scores(readouts.at(rows, positions)).argmax(dim=1) == labels[rows, positions]).sum()
    return correct
