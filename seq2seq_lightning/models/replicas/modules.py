"""Modules with the weights of several replicas, and each replica's rows its own: rows = replicas · rows of one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class StackedLinear(nn.Module):
    """``nn.Linear`` of each replica. weight: (replicas, out, in), its transpose contiguous; bias: (replicas, out)."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.weight, self.bias = weight, bias
        self.out_features, self.in_features = weight.shape[1:]

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs: (rows, …, in). Returns (rows, …, out)."""
        return multiply(inputs, self.weight, self.bias)


def multiply(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """W x + b with the W and b of each row's replica. inputs: (rows, …, in), weight: (replicas, out, in)."""
    flat = inputs.reshape(weight.shape[0], -1, weight.shape[2])
    turned = weight.transpose(1, 2)
    product = torch.bmm(flat, turned) if bias is None else torch.baddbmm(bias.unsqueeze(1), flat, turned)
    return product.view(*inputs.shape[:-1], weight.shape[1])


class StackedEmbedding(nn.Module):
    """``nn.Embedding`` of each replica. weight: (replicas, vocab, size)."""

    def __init__(self, weight: nn.Parameter, padding_idx: int) -> None:
        super().__init__()
        self.weight, self.padding_idx = weight, padding_idx
        self._offsets: dict[int, Tensor] = {}

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (rows, …) ids. Returns (rows, …, size)."""
        ids = tokens + self.offsets(len(tokens)).view(-1, *[1] * (tokens.dim() - 1))
        return _Lookup.apply(ids, self.weight, self.padding_idx)

    def offsets(self, rows: int) -> Tensor:
        """What to add to the ids of each row, (rows,): where the table of its replica begins in all of them."""
        if rows not in self._offsets:
            replicas, vocab, _ = self.weight.shape
            self._offsets[rows] = (torch.arange(replicas) * vocab).repeat_interleave(rows // replicas)
        return self._offsets[rows]

    def table(self) -> Tensor:
        """All tables below each other, without gradient: (replicas · vocab, size)."""
        return self.weight.detach().reshape(-1, self.weight.shape[2])


class _Lookup(torch.autograd.Function):
    """Rows of all tables. The ``pad`` row of each takes no gradient."""

    @staticmethod
    def forward(ctx: Any, ids: Tensor, weight: Tensor, padding_idx: int) -> Tensor:
        ctx.ids, ctx.shape, ctx.padding_idx = ids, weight.shape, padding_idx
        return torch.nn.functional.embedding(ids, weight.reshape(-1, weight.shape[2]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        replicas, vocab, size = ctx.shape
        table = gradient.new_zeros(replicas * vocab, size)
        table.index_add_(0, ctx.ids.flatten(), gradient.reshape(-1, size))
        table = table.view(ctx.shape)
        table[:, ctx.padding_idx] = 0.0
        return None, table, None


class StackedNorm(nn.Module):
    """``nn.LayerNorm`` of each replica. weight, bias: (replicas, size)."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter, eps: float) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = weight, bias, eps

    def forward(self, inputs: Tensor) -> Tensor:
        """inputs: (rows, …, size)."""
        replicas, size = self.weight.shape
        normed = torch.nn.functional.layer_norm(inputs, (size,), eps=self.eps)
        flat = normed.reshape(replicas, -1, size)
        return torch.addcmul(self.bias.unsqueeze(1), flat, self.weight.unsqueeze(1)).view(inputs.shape)
