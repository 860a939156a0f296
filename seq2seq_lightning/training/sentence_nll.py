"""How probable a model finds the targets of a batch whose sources have been read, one number per sentence."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.decoding.protocol import SpecialIds, StepDecoder
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.teacher_forcing import ArgMax
from seq2seq_lightning.training.label_losses import label_log_probs


def sentence_nll(
    model: StepDecoder, batch: Batch, memory: Any, state: Any, ids: SpecialIds, free_running: bool = False
) -> Tensor:
    """The summed negative log-likelihood of each sentence's labels: (batch,).

    Teacher-forced, or with the model's own best tokens fed back. memory, state: what ``start`` gave for the batch.
    """
    if not isinstance(model, Seq2Seq):
        return _by_steps(model, batch, memory, state, ids, free_running)
    gold_mask = None
    if free_running:
        gold_mask = torch.zeros_like(batch.target_inputs, dtype=torch.bool)
        gold_mask[:, 0] = True
    readouts = model.unroll(model.about(batch.target_inputs, memory, state), gold_mask, ArgMax())
    return -label_log_probs(model, readouts, batch.target_labels, ids.pad).double().sum(1)


def _by_steps(
    decoder: StepDecoder, batch: Batch, memory: Any, state: Any, ids: SpecialIds, free_running: bool
) -> Tensor:
    """The same of anything that speaks the step protocol, one position after the other."""
    nll = torch.zeros(len(batch), dtype=torch.float64, device=batch.target_labels.device)
    fed = batch.target_inputs[:, 0]
    for position in range(batch.target_labels.shape[1]):
        output = decoder.step(fed, state, memory)
        labels = batch.target_labels[:, position]
        log_probs = output.log_probs.gather(1, labels[:, None])[:, 0]
        nll -= torch.where(labels == ids.pad, 0.0, log_probs.double())
        state = output.state
        if position + 1 < batch.target_labels.shape[1]:
            fed = output.log_probs.argmax(1) if free_running else batch.target_inputs[:, position + 1]
    return nll
