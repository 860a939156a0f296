"""The losses of gold labels under a model's readouts: the one place where training and validation apply the output."""

from __future__ import annotations

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.losses import TokenLosses, token_losses
from seq2seq_lightning.models.seq2seq import Readouts, Seq2Seq


def label_losses(
    model: Seq2Seq,
    readouts: Readouts,
    batch: Batch,
    pad_id: int,
    label_smoothing: float = 0.0,
    count_correct: bool = False,
) -> TokenLosses:
    """Sum the losses of the batch's labels; see ``token_losses``."""
    layer, labels = model.output_layer, batch.target_labels
    return token_losses(
        readouts.readout, layer.weight, layer.bias, labels, pad_id, label_smoothing, count_correct=count_correct
    )
