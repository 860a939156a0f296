"""Products with an output layer, the largest there are, in rows that begin where processors like them to begin."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

ALIGNED = 16  # a row has a multiple of so many numbers: products into odd rows take up to 1.6 times as long
ALIGNED_FROM = 256  # words; where fewer are known there is nothing to gain


def aligned_size(vocab: int) -> int:
    """The numbers from one row of logits to the next."""
    return vocab if vocab < ALIGNED_FROM else -(-vocab // ALIGNED) * ALIGNED


def is_ready(rows: Tensor, weight: Tensor) -> bool:
    """Whether the product is of these numbers as they are, and autocast, where it is on, would cast neither."""
    device = rows.device.type
    wanted = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else rows.dtype
    return rows.dtype is weight.dtype is wanted


@torch.no_grad()
def aligned_logits(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """rows · weightᵀ + bias, without gradient; -inf behind the vocabulary, which argmax and softmax ignore.

    rows: (rows, size), weight: (vocab, size), bias: (vocab,), all of one type. Returns (rows, aligned size of vocab).
    """
    vocab = weight.size(0)
    if aligned_size(vocab) == vocab:
        return F.linear(rows, weight, bias)
    padded = rows.new_empty(len(rows), aligned_size(vocab))
    padded[:, vocab:] = -math.inf
    if bias is None:
        torch.mm(rows, weight.t(), out=padded[:, :vocab])
    else:
        torch.addmm(bias, rows, weight.t(), out=padded[:, :vocab])
    return padded
