"""The losses of gold labels under a model's readouts: the one place where training and validation apply the output."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.losses import TokenLosses, position_nll, token_losses
from seq2seq_lightning.models.seq2seq import Readouts, Seq2Seq
from seq2seq_lightning.training.copy_losses import copy_log_probs, copy_losses


def label_losses(
    model: Seq2Seq,
    readouts: Readouts,
    batch: Batch,
    pad_id: int,
    label_smoothing: float = 0.0,
    count_correct: bool = False,
) -> TokenLosses:
    """Sum the losses of the batch's labels; see ``token_losses``. The total includes the model's coverage loss."""
    layer, labels = model.output_layer, batch.target_labels
    if model.copies:
        assert not label_smoothing, "labels that may be copied are not smoothed"
        losses = copy_losses(model, readouts, labels, pad_id, count_correct)
    else:
        losses = token_losses(
            readouts.readout, layer.weight, layer.bias, labels, pad_id, label_smoothing, count_correct=count_correct
        )
    if not model.coverage_loss:
        return losses
    assert readouts.attention is not None
    coverage = coverage_loss(readouts.attention, labels != pad_id)
    return replace(losses, total=losses.total + model.coverage_loss * coverage, coverage=coverage.detach())


def label_log_probs(model: Seq2Seq, readouts: Readouts, labels: Tensor, no_label: int) -> Tensor:
    """log p(label) of each position with gradient, zero where the label is ``no_label``: (rows, time), as labels."""
    if model.copies:
        return copy_log_probs(model, readouts, labels, no_label)
    layer = model.output_layer
    return -position_nll(readouts.readout, layer.weight, layer.bias, labels, no_label)


def coverage_loss(attention: Tensor, is_label: Tensor) -> Tensor:
    """Σ_t Σ_i min(a_ti, c_ti) with c_t = Σ_{s<t} a_s, over positions with a label (See et al. 2017, eq. 12).

    attention: (batch, target_time, source_time); is_label: (batch, target_time), True up to each target's end.
    """
    wide = attention if attention.dtype is torch.float64 else attention.float()
    again = wide.minimum(wide.cumsum(dim=1) - wide).sum(dim=2)
    return again.where(is_label, again.new_zeros(())).sum()
