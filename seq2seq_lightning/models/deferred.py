"""Weights used at every position of a loop, their gradients computed once from all positions together.

y_t = W x_t + b. Autograd makes a small product and a full-size sum per position for dW. Here W enters each position as
a constant and b as slot t of a tensor (time, rows, size): the gradient of the slots is dy_t for every t, from which
dW = Σ_t dy_t' x_t is one product and db one sum. Values and gradients are those of the plain loop.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Products(torch.autograd.Function):
    """Gives out the slots; takes their gradients back, and makes that of the weight from them and the inputs kept."""

    @staticmethod
    def forward(ctx: Any, slots: Tensor, weight: Tensor, inputs: list[Tensor]) -> Tensor:
        ctx.inputs, ctx.replicas = inputs, weight.shape[0] if weight.dim() == 3 else None
        return slots.view_as(slots)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        if not ctx.needs_input_grad[1]:
            return gradient, None, None
        inputs = torch.stack(ctx.inputs).to(gradient.dtype)
        if ctx.replicas is not None:
            by_replica = [
                each.unflatten(1, (ctx.replicas, -1)).transpose(0, 1).flatten(1, 2) for each in (inputs, gradient)
            ]
            return gradient, torch.bmm(by_replica[0].transpose(1, 2), by_replica[1]).transpose(1, 2), None
        return gradient, gradient.flatten(0, 1).t() @ inputs.flatten(0, 1), None


class _Lookups(torch.autograd.Function):
    """The same for rows of a table."""

    @staticmethod
    def forward(ctx: Any, slots: Tensor, table: Tensor, tokens: list[Tensor], pad_id: int) -> Tensor:
        ctx.tokens, ctx.pad_id, ctx.shape = tokens, pad_id, table.shape
        return slots.view_as(slots)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None, None]:
        table = gradient.new_zeros(ctx.shape)
        table.flatten(0, -2).index_add_(0, torch.stack(ctx.tokens).flatten(), gradient.flatten(0, 1))
        table[..., ctx.pad_id, :] = 0.0
        return None, table, None, None


class DeferredLinear:
    """A linear map at each of ``time`` positions, in order, over the same number of rows.

    Of several replicas: weight (replicas, size, input size), bias (replicas, size), rows those of one after the other.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, rows: int, time: int) -> None:
        start = weight.new_zeros(1) if bias is None else bias
        if start.dim() == 2:
            start = start.repeat_interleave(rows // len(start), 0)
        self._inputs: list[Tensor] = []
        slots = _Products.apply(start.expand(time, rows, weight.shape[-2]), weight, self._inputs)
        self._slots: Iterator[Tensor] = iter(slots.unbind(0))
        self.weight = weight.detach()
        self._transposed = self.weight.transpose(-1, -2)

    def bias(self, inputs: Tensor) -> Tensor:
        """What to add to ``inputs @ weight.t()`` at the next position: (rows, size), the bias in each row."""
        self._inputs.append(inputs.detach())
        return next(self._slots)

    def __call__(self, inputs: Tensor) -> Tensor:
        """The map at the next position. inputs: (rows, input size)."""
        if self.weight.dim() == 2:
            return torch.addmm(self.bias(inputs), inputs, self._transposed)
        bias, replicas = self.bias(inputs), len(self.weight)
        product = torch.baddbmm(
            bias.unflatten(0, (replicas, -1)), inputs.unflatten(0, (replicas, -1)), self._transposed
        )
        return product.flatten(0, 1)


class DeferredEmbedding:
    """A look-up at each of ``time`` positions, in order, over the same number of rows.

    Of several replicas: table (replicas, entries, size), rows those of one after the other.
    """

    def __init__(self, table: Tensor, pad_id: int, rows: int, time: int) -> None:
        self._tokens: list[Tensor] = []
        zeros = table.new_zeros(1).expand(time, rows, table.shape[-1])
        self._slots: Iterator[Tensor] = iter(_Lookups.apply(zeros, table, self._tokens, pad_id).unbind(0))
        self._table = table.detach().reshape(-1, table.shape[-1])
        self._offsets: Tensor | None = None
        if table.dim() == 3:
            self._offsets = (torch.arange(len(table)) * table.shape[1]).repeat_interleave(rows // len(table))

    def __call__(self, tokens: Tensor) -> Tensor:
        """The rows of the table at the next position. tokens: (rows,) ids."""
        tokens = tokens if self._offsets is None else tokens + self._offsets
        self._tokens.append(tokens)
        return torch.nn.functional.embedding(tokens, self._table) + next(self._slots)
