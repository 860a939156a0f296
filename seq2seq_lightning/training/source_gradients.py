"""How far back a loss reaches: the gradient that one target position sends to each source position, by distance.

Where gradients vanish on their way through a recurrence (Bengio et al. 1994; Pascanu et al. 2013, arXiv 1211.5063) the
norm falls as a power of the distance; attention leads past the recurrence.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.training.label_losses import label_log_probs

Tally = list[list[float]]  # the sum of the norms of each bin, and how many they are

CURVE = "gradient_at_distance"
_LAST = (0, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 40, 60)  # the last distance of each bin but the open one at the end
BINS = ("0", *(str(last) if last == low + 1 else f"{low + 1}-{last}" for low, last in pairwise(_LAST)), "61+")


class SourceGradients:
    """Adds up norms of gradients by the distance of their source position from the end of the source.

    position: of the target whose loss is followed back, from 1; a target with fewer labels counts nothing.
    """

    def __init__(self, position: int) -> None:
        self.position = position
        self._sums: Tensor | None = None  # (2, bins) float64, on the model's device

    def add(self, model: Seq2Seq, batch: Batch, pad_id: int) -> None:
        """Count a batch fed with gold tokens; wherever it is called from, gradients are computed in here."""
        norms, is_counted = source_gradient_norms(model, batch, self.position, pad_id)
        lengths = batch.source_lengths.to(norms.device).unsqueeze(1)
        distances = lengths - 1 - torch.arange(norms.shape[1], device=norms.device)
        bins = torch.bucketize(distances, torch.tensor(_LAST, device=norms.device))
        chosen = (bins.unsqueeze(2) == torch.arange(len(BINS), device=norms.device)) & is_counted.unsqueeze(2)
        sums = torch.stack([(chosen * norms.double().unsqueeze(2)).sum((0, 1)), chosen.sum((0, 1)).double()])
        self._sums = sums if self._sums is None else self._sums + sums

    def plain(self) -> Tally:
        """The sums, to be put together over ranks."""
        return [] if self._sums is None else self._sums.tolist()


def mean_norms(tallies: Iterable[Tally]) -> dict[str, float]:
    """The mean norm of each bin that has any: `gradient_at_distance/<bin>`, of the tallies of all ranks."""
    there = [torch.tensor(tally, dtype=torch.float64) for tally in tallies if tally]
    if not there:
        return {}
    norms, counts = torch.stack(there).sum(0).tolist()
    return {f"{CURVE}/{name}": norm / n for name, norm, n in zip(BINS, norms, counts, strict=True) if n}


def source_gradient_norms(model: Seq2Seq, batch: Batch, position: int, pad_id: int) -> tuple[Tensor, Tensor]:
    """‖∂ −log p(y_t | y_<t, x) / ∂ e_s‖₂ for the label at t = position and every source embedding e_s.

    Returns norms and which of them count, (batch, source_time) each: real positions of sentences with such a label.
    Sentences share nothing, so one pass back gives each its own gradient.
    """
    real = torch.arange(batch.source.shape[1]) < batch.source_lengths.unsqueeze(1)
    if batch.target_labels.shape[1] < position:
        return batch.source.new_zeros(batch.source.shape, dtype=torch.float32), torch.zeros_like(
            real, device=batch.source.device
        )
    with ExitStack() as stack:
        for each in (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(batch.source.device.type, enabled=False),
            _without_cudnn(),
        ):
            stack.enter_context(each)
        embedded = stack.enter_context(_embedded(model.encoder.embedding))
        source, inputs, labels = (
            each.clone()  # what was made in inference mode may not be remembered for a pass back
            for each in (batch.source, batch.target_inputs[:, :position], batch.target_labels[:, :position])
        )
        ids = None if batch.copy_ids is None else batch.copy_ids.clone()
        labels[:, :-1] = pad_id
        readouts = model.readouts(source, batch.source_lengths, inputs, copy_ids=ids)
        loss = -label_log_probs(model, readouts, labels, pad_id).sum()
        (gradient,) = torch.autograd.grad(loss, embedded)
    is_counted = real.to(labels.device) & (labels[:, -1:] != pad_id)
    return gradient.norm(dim=2), is_counted


@contextmanager
def _embedded(embedding: nn.Embedding) -> Iterator[list[Tensor]]:
    """What the embedding gives while the block lasts, as leaves whose gradient can be asked for."""
    given: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        given.append(output.detach().requires_grad_())
        return given[-1]

    handle = embedding.register_forward_hook(keep)
    try:
        yield given
    finally:
        handle.remove()


@contextmanager
def _without_cudnn() -> Iterator[None]:
    """Its recurrent kernels have no pass back in evaluation mode."""
    before = torch.backends.cudnn.enabled
    torch.backends.cudnn.enabled = False
    try:
        yield
    finally:
        torch.backends.cudnn.enabled = before
