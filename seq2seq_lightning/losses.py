"""Token losses over (readout, output layer, labels) in bounded blocks: sums and counts, never a mean.

The output layer and its softmax are the largest tensors of a training step: positions × vocabulary. They are computed
at real positions only, a block of positions at a time, together with their gradients, so that a block's logits are
gone before the next block's are made.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from seq2seq_lightning.aligned import aligned_logits, aligned_size

BLOCK_BYTES = 32 * 2**20  # logits of one block: 1065 positions × 7859 words in float32, where smaller blocks are slower


@dataclass(frozen=True)
class TokenLosses:
    """Sums over the real positions of a batch.

    total: scalar with gradient, the smoothed loss that is trained on. nll: scalar, unsmoothed. count: scalar int64,
    labels counted. correct: scalar int64, positions whose most probable token is the label, if asked for. coverage:
    scalar, the sum that the total includes with a weight, for a model with a coverage loss.
    """

    total: Tensor
    nll: Tensor
    count: Tensor
    correct: Tensor | None = None
    coverage: Tensor | None = None


def token_losses(
    readout: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    pad_id: int,
    label_smoothing: float = 0.0,
    block: int | None = None,
    count_correct: bool = False,
) -> TokenLosses:
    """Sum the cross-entropy of the labels under softmax(readout · weightᵀ + bias) over real positions.

    readout: (batch, target_time, size), weight: (vocab, size), bias: (vocab,), labels: (batch, target_time), where
    ``pad_id`` marks what is no position. Label smoothing in torch's convention: the truth has 1 - ε + ε/V, every other
    word ε/V. ``block``: positions whose logits exist at one time; None: as many as fit in BLOCK_BYTES. Losses are
    computed in float32 (float64 for float64 readouts), products in the type that autocast asks for.
    """
    flat_labels = labels.flatten()
    positions = (flat_labels != pad_id).nonzero().squeeze(1)
    options = _Options(label_smoothing, block or _block_rows(readout, weight), count_correct, torch.is_grad_enabled())
    total, nll, correct = _BlockedCrossEntropy.apply(
        readout.flatten(0, 1), weight, bias, flat_labels[positions], positions, options
    )
    count = torch.tensor(len(positions), device=labels.device)
    return TokenLosses(total, nll, count, correct if count_correct else None)


def mixture_losses(
    readout: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    labels: Tensor,
    share: Tensor,
    other: Tensor,
    pad_id: int,
    block: int | None = None,
) -> TokenLosses:
    """Sum -log[share · p + other] of the labels, p being their softmax, where something else may give a label too.

    share, other: (batch, target_time), logarithms of probabilities, of which not both are -inf. The rest as in
    `token_losses`.
    """
    flat_labels = labels.flatten()
    positions = (flat_labels != pad_id).nonzero().squeeze(1)
    share, other = (each.to(_loss_type(readout.dtype)).flatten()[positions] for each in (share, other))
    options = _Options(0.0, block or _block_rows(readout, weight), False, torch.is_grad_enabled())
    total = _BlockedMixture.apply(
        readout.flatten(0, 1), weight, bias, share, other, flat_labels[positions], positions, options
    )
    return TokenLosses(total, total.detach(), torch.tensor(len(positions), device=labels.device))


def position_nll(
    readout: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, pad_id: int, block: int | None = None
) -> Tensor:
    """-log p(label) of every position, unsmoothed, zero where there is no label: (batch, target_time).

    Shapes as in `token_losses`; logits exist a block of positions at a time. Positions may be weighted afterwards: a
    gradient computes each block's logits a second time.
    """
    flat_labels = labels.flatten()
    positions = (flat_labels != pad_id).nonzero().squeeze(1)
    found = _BlockedPositionNLL.apply(
        readout.flatten(0, 1), weight, bias, flat_labels[positions], positions, block or _block_rows(readout, weight)
    )
    nll = torch.zeros(len(flat_labels), dtype=found.dtype, device=found.device)
    return nll.index_copy(0, positions, found).view_as(labels)


def perplexity(nll: float, count: float) -> float:
    """exp(summed unsmoothed nll / labels): infinite where that overflows, not a number without labels."""
    if not count:
        return math.nan
    try:
        return math.exp(nll / count)
    except OverflowError:
        return math.inf


@dataclass(frozen=True)
class _Options:
    label_smoothing: float
    block: int
    count_correct: bool
    with_gradients: bool


def _block_rows(readout: Tensor, weight: Tensor) -> int:
    bytes_per_row = aligned_size(weight.size(0)) * _loss_type(readout.dtype).itemsize
    return max(1, BLOCK_BYTES // bytes_per_row)


def _loss_type(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype is torch.float64 else torch.float32


def _product_type(readout: Tensor) -> torch.dtype:
    """The type matrix products run in: autocast's, where it is on."""
    device = readout.device.type
    if torch.is_autocast_enabled(device) and readout.dtype is not torch.float64:
        return torch.get_autocast_dtype(device)
    return readout.dtype


class _BlockedCrossEntropy(Function):
    """Loss and gradients in one pass over the blocks; backward only scales what forward has kept."""

    @staticmethod
    def forward(
        ctx: Any,
        readout: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        positions: Tensor,
        options: _Options,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """readout: (batch · target_time, size); labels, positions: (real,). Returns total, nll, correct."""
        needed = [need and options.with_gradients for need in ctx.needs_input_grad[:3]]
        sums = _Sums(readout, weight, bias, needed, _product_type(readout))
        with torch.autocast(readout.device.type, enabled=False):
            for block_positions, block_labels in zip(
                positions.split(options.block), labels.split(options.block), strict=True
            ):
                sums.add(block_positions, block_labels, options)
        ctx.save_for_backward(*sums.gradients)
        ctx.mark_non_differentiable(sums.nll, sums.correct)
        return sums.total, sums.nll, sums.correct

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """gradient: scalar, of the total."""
        return (*_scaled(ctx.saved_tensors, gradient), None, None, None)


def _scaled(kept: Iterable[Tensor | None], gradient: Tensor) -> list[Tensor | None]:
    """Gradients that forward has kept, times that of the sum they belong to."""
    return [None if each is None else each * gradient for each in kept]


class _BlockedMixture(Function):
    """The same with, per label, the share of the softmax and what else gives it, both as logarithms."""

    @staticmethod
    def forward(
        ctx: Any,
        readout: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        share: Tensor,
        other: Tensor,
        labels: Tensor,
        positions: Tensor,
        options: _Options,
    ) -> Tensor:
        """share, other, labels, positions: (real,); readout: (batch · target_time, size). Returns the total."""
        needed = [need and options.with_gradients for need in ctx.needs_input_grad[:3]]
        sums = _Sums(readout, weight, bias, needed, _product_type(readout))
        generated = torch.empty_like(share)  # how far each label is due to the softmax
        with torch.autocast(readout.device.type, enabled=False):
            for at in torch.arange(len(labels), device=labels.device).split(options.block):
                rows, logits = sums.project(positions[at])
                log_probs = sums.normalise(logits)
                own = share[at] + log_probs.gather(1, labels[at, None]).squeeze(1)
                mixed = torch.logaddexp(own, other[at])
                generated[at] = (own - mixed).exp()
                sums.total -= mixed.sum()
                if any(needed):
                    of_logits = _logit_gradient(log_probs, labels[at], 0.0).mul_(generated[at, None])
                    sums.add_gradients(rows, positions[at], of_logits)
        ctx.save_for_backward(*sums.gradients, -generated, generated - 1)
        return sums.total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """gradient: scalar."""
        return (*_scaled(ctx.saved_tensors, gradient), None, None, None)


class _BlockedPositionNLL(Function):
    """The loss of each position; backward computes the logits again, as it learns only then what each counts."""

    @staticmethod
    def forward(
        ctx: Any,
        readout: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        positions: Tensor,
        block: int,
    ) -> Tensor:
        """readout: (batch · target_time, size); labels, positions: (real,). Returns (real,)."""
        ctx.save_for_backward(readout, weight, bias, labels, positions)
        ctx.block, ctx.product_type = block, _product_type(readout)
        nll = torch.empty(len(labels), dtype=_loss_type(readout.dtype), device=readout.device)
        with torch.autocast(readout.device.type, enabled=False):
            sums = _Sums(readout, weight, bias, [False] * 3, ctx.product_type)
            for at in torch.arange(len(labels), device=labels.device).split(block):
                log_probs = sums.normalise(sums.project(positions[at])[1])
                nll[at] = -log_probs.gather(1, labels[at, None]).squeeze(1)
        return nll

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """gradient: (real,)."""
        readout, weight, bias, labels, positions = ctx.saved_tensors
        with torch.autocast(readout.device.type, enabled=False):
            sums = _Sums(readout, weight, bias, ctx.needs_input_grad[:3], ctx.product_type)
            for at in torch.arange(len(labels), device=labels.device).split(ctx.block):
                rows, logits = sums.project(positions[at])
                of_logits = _logit_gradient(sums.normalise(logits), labels[at], 0.0) * gradient[at, None]
                sums.add_gradients(rows, positions[at], of_logits)
        return (*sums.gradients, None, None, None)


class _Sums:
    """The losses and gradients of the blocks seen so far."""

    def __init__(
        self,
        readout: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        needed: Sequence[bool],
        product_type: torch.dtype,
    ) -> None:
        self.readout = readout
        self.product_type = product_type
        self.weight = weight.to(self.product_type)
        self.bias = None if bias is None else bias.to(self.product_type)
        self.gradients = [
            torch.zeros_like(value) if need and value is not None else None
            for value, need in zip((readout, weight, bias), needed, strict=True)
        ]
        self.total = readout.new_zeros((), dtype=_loss_type(readout.dtype))
        self.nll = torch.zeros_like(self.total)
        self.correct = torch.zeros((), dtype=torch.int64, device=readout.device)

    def add(self, positions: Tensor, labels: Tensor, options: _Options) -> None:
        """Add one block: positions, labels (block,)."""
        rows, logits = self.project(positions)
        if options.count_correct:
            self.correct += (logits.argmax(dim=-1) == labels).sum()
        log_probs = self.normalise(logits)
        del logits
        nll = -log_probs.gather(1, labels[:, None]).sum()
        self.nll += nll
        self.total += (1 - options.label_smoothing) * nll
        if options.label_smoothing:
            self.total -= options.label_smoothing * log_probs.mean(dim=-1).sum()
        if any(gradient is not None for gradient in self.gradients):
            self.add_gradients(rows, positions, _logit_gradient(log_probs, labels, options.label_smoothing))

    def project(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """The readouts of a block (block, size), and their logits in aligned rows."""
        rows = self.readout[positions].to(self.product_type)
        return rows, aligned_logits(rows, self.weight, self.bias)

    def normalise(self, logits: Tensor) -> Tensor:
        """Log-probabilities in the type of the losses: (block, vocab)."""
        return F.log_softmax(logits, dim=-1, dtype=self.total.dtype)[:, : len(self.weight)]

    def add_gradients(self, rows: Tensor, positions: Tensor, logit_gradient: Tensor) -> None:
        """logit_gradient: (block, vocab), in the type of the losses."""
        of_readout, of_weight, of_bias = self.gradients
        if of_bias is not None:
            of_bias += logit_gradient.sum(dim=0)
        logit_gradient = logit_gradient.to(self.product_type)
        if of_readout is not None:
            of_readout.index_copy_(0, positions, (logit_gradient @ self.weight).to(of_readout.dtype))
        if of_weight is None:
            return
        if of_weight.dtype is self.product_type:
            of_weight.addmm_(logit_gradient.t(), rows)
        else:
            of_weight += logit_gradient.t() @ rows


def _logit_gradient(log_probs: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """softmax - smoothed truth, in the memory of log_probs: (block, vocab)."""
    gradient = log_probs.exp_()
    if label_smoothing:
        gradient -= label_smoothing / gradient.size(1)
    gradient[torch.arange(len(labels), device=labels.device), labels] -= 1 - label_smoothing
    return gradient
