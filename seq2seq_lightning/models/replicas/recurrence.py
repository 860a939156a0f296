"""Recurrent layers over whole sequences with their own backward pass: a few operations per position, no graph of them.

At a single row a position costs what its operations cost to start. So what can wait for all positions together waits
(the products with what is read, the factors that turn the gradient of an output into those of its gates, the products
for the weights), room and its views are made once and used again, and each position has the replicas alone that are
still going.

U is (replicas, size, hidden), stored so that its transpose is contiguous; a state is (replicas, rows, hidden).
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seq2seq_lightning.models.replicas.reach import Reach, Some
from seq2seq_lightning.models.replicas.room import Room


class Weights(NamedTuple):
    """Those of a layer. given: W (replicas, size, input size) and its bias (replicas, size); carried: U, likewise."""

    given: Tensor
    given_bias: Tensor | None
    carried: Tensor
    carried_bias: Tensor | None


class Recurrence(Room):
    """The positions of one layer, one after the other, and what its backward pass needs of them.

    ``sums`` holds what each position reads, W x and every bias that acts outside of a gate. Position p takes
    ``hidden_at[p]`` to ``hidden_at[p + 1]``, and the gradient of the latter, ``of_hidden_at[p + 1]``, to the former's.
    """

    gates: ClassVar[int]
    own: ClassVar[dict[str, int]]  # what it holds beside all others, in units of ``hidden``
    telling = "hidden"
    bias_is_inside: ClassVar[bool] = False  # whether a gate acts on U h + b'

    weights: Weights
    weight: Tensor  # U
    turned: Tensor
    bias: Tensor | None  # inside of a gate: (replicas, 1, size)
    given_turned: Tensor
    given_bias: Tensor | None  # outside
    arriving: set[int]  # positions after which the gradient of a cell arrives from outside
    of_read_at: tuple[Tensor, ...]  # the gradient of what each position reads; see ``reading``

    @classmethod
    def begin(cls, weights: Weights, start: tuple[Tensor, ...], reach: Reach) -> Self:
        """A layer before its first position. start: (replicas · rows, hidden) each."""
        hidden = start[0].shape[1]
        parts = {"sums": cls.gates, "hidden": 1, "of_hidden": 1} | cls.own
        done = cls.take(reach, {name: count * hidden for name, count in parts.items()}, start[0])
        done.weights, done.weight, done.arriving = weights, weights.carried, set()
        done.turned = weights.carried.transpose(1, 2)
        done.given_turned = weights.given.transpose(1, 2)
        done.bias = done.given_bias = None
        if weights.given_bias is not None and weights.carried_bias is not None:
            inside, outside = weights.carried_bias, weights.given_bias
            done.bias = inside.unsqueeze(1) if cls.bias_is_inside else None
            done.given_bias = (outside if cls.bias_is_inside else inside + outside).unsqueeze(1)
        for name, each in zip(("hidden", "cell"), start, strict=False):
            done.held[name][0].copy_(each.view_as(done.held[name][0]))
        return done

    def lend(self, part: Self, some: Some) -> None:
        """See ``Room.lend``."""
        part.arriving = self.arriving
        part.weight, part.turned = self.weight[some.slice], self.turned[some.slice]
        part.given_turned = self.given_turned[some.slice]
        part.bias, part.given_bias = (
            None if each is None else each[some.slice] for each in (self.bias, self.given_bias)
        )

    def look(self) -> None:
        """See ``Room.look``."""
        self.size = self.held["hidden"].shape[3]
        self.sums_at, self.hidden_at = self.held["sums"].unbind(0), self.held["hidden"].unbind(0)
        self.of_hidden_at = self.held["of_hidden"].unbind(0)

    def read(self, inputs: Tensor) -> None:
        """Put W x + b of all positions in their places. inputs: (rows, time, input size)."""
        product = self.given(inputs.reshape(self.replicas, -1, inputs.shape[2]))
        by_position = product.view(self.replicas, self.rows, self.reach.time, -1).permute(2, 0, 1, 3)
        self.held["sums"][: self.reach.time].copy_(by_position)

    def given(self, inputs: Tensor, out: Tensor | None = None) -> Tensor:
        """W x + b of what W reads first. inputs: (replicas, rows, input size)."""
        weight = self.given_turned[:, : inputs.shape[2]]
        if self.given_bias is None:
            return torch.bmm(inputs, weight, out=out)
        return torch.baddbmm(self.given_bias, inputs, weight, out=out)

    def run(self) -> None:
        """All positions, once they have been read."""
        for position, part in enumerate(self.parts()):
            part.step(position)

    def step(self, position: int) -> Tensor:
        """The output of a position, (replicas, rows, hidden), of what stands in ``sums_at[position]``."""
        raise NotImplementedError

    def outputs(self) -> Tensor:
        """(rows, time, hidden), past the end of a replica whatever stands there."""
        return self.by_row("hidden", 1).flatten(0, 1)

    def ends(self, parts: int) -> tuple[Tensor, ...]:
        """The state after each row's last position, (rows, hidden) each."""
        held = (self.held[name][1 : self.reach.time + 1] for name in ("hidden", "cell")[:parts])
        return tuple(each.reshape(-1, self.size).index_select(0, self.reach.last) for each in held)

    # -- backwards -----------------------------------------------------------------------------------------------------

    def receive(self, of_outputs: Tensor | None, of_ends: tuple[Tensor | None, ...]) -> None:
        """Put the gradients of what was given out in their places."""
        time, of_hidden = self.reach.time, self.held["of_hidden"]
        of_hidden[0].zero_()
        if of_outputs is None:
            of_hidden[1 : time + 1].zero_()
        else:
            by_row = of_outputs.reshape(self.replicas, self.rows, time, self.size)
            of_hidden[1 : time + 1].copy_(by_row.permute(2, 0, 1, 3))
        if of_ends and of_ends[0] is not None:
            of_hidden[1 : time + 1].view(-1, self.size).index_add_(0, self.reach.last, of_ends[0])

    def factor(self) -> None:
        """All that does not wait for the gradient of a later position."""
        raise NotImplementedError

    def back(self, position: int) -> None:
        """From the gradient of an output to those of what the position read and of the state before it."""
        raise NotImplementedError

    def of_sums(self) -> tuple[Tensor, Tensor]:
        """The gradients of what each position read and of U h + b', (replicas, rows · time, size) each."""
        raise NotImplementedError

    def of_start(self) -> tuple[Tensor, ...]:
        """The gradient of each part of the start, (rows, hidden) each."""
        return (self.held["of_hidden"][0].view(-1, self.size).clone(),)

    def reading(self, weight: Tensor) -> Tensor:
        """The rows of W, (replicas, size, …), in the order of ``of_read_at``."""
        return weight

    def of_weights(self, inputs: Tensor) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        """The gradient of what was read, by row, and those of ``Weights``. inputs: (rows, time, input size)."""
        of_given, of_carried = self.of_sums()
        flat = inputs.reshape(self.replicas, -1, inputs.shape[2])
        of_w = torch.bmm(flat.transpose(1, 2), of_given).transpose(1, 2)
        of_u = torch.bmm(self.by_row("hidden").flatten(1, 2).transpose(1, 2), of_carried).transpose(1, 2)
        if self.weights.given_bias is None:
            return of_given, (of_w, None, of_u, None)
        of_bias = of_given.sum(1)
        return of_given, (of_w, of_bias, of_u, of_carried.sum(1) if self.bias_is_inside else of_bias)


class Unrolled(torch.autograd.Function):
    """All positions of a layer: outputs (rows, time, hidden), then some parts of the state after each row's last one.

    A layer that has run already, because a position chose what the next one heard, only learns its inputs here.
    """

    @staticmethod
    def forward(
        ctx: Any, done: Recurrence, has_run: bool, ends: int, inputs: Tensor, *given: Tensor | None
    ) -> tuple[Tensor, ...]:
        """inputs: (rows, time, input size); given: the weights, then each part of the start (rows, hidden)."""
        ctx.done, ctx.inputs = done, inputs
        ctx.set_materialize_grads(False)
        if not has_run:
            done.read(inputs)
            done.run()
        return done.outputs(), *done.ends(ends)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_outputs: Tensor | None, *of_ends: Tensor | None) -> tuple[Tensor | None, ...]:
        """Of what ``forward`` gave."""
        done: Recurrence = ctx.done
        done.receive(of_outputs, of_ends)
        done.factor()
        for position, part in reversed(list(enumerate(done.parts()))):
            part.back(position)
        of_given, of_weights = done.of_weights(ctx.inputs)
        of_inputs = None
        if ctx.needs_input_grad[3]:
            of_inputs = torch.bmm(of_given, done.weights.given).view(ctx.inputs.shape)
        found = None, None, None, of_inputs, *of_weights, *done.of_start()
        done.give_back()
        return found
