"""Recurrent layers over whole sequences with their own backward pass: a few operations per position, no graph of them.

At a single row a position costs what its operations cost to start. So what can wait for all positions together waits
(the factors that turn the gradient of an output into those of its gates, the products for the weights), and room and
its views are made once and used again.

U is (replicas, size, hidden), stored so that its transpose is contiguous; a state is (replicas, rows, hidden).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class Recurrence:
    """Room for the positions of one layer, one after the other, and for what its backward pass needs of them.

    given: what each position reads, (time, replicas, rows, size): W x and every bias that acts outside of a gate.
    """

    gates: ClassVar[int]
    kept: ClassVar[int] = 1  # states: hidden, cell
    _free: ClassVar[dict[Any, list[Any]]] = defaultdict(list)  # room that is used by nobody, by kind and shape

    key: Any
    time: int
    weight: Tensor
    turned: Tensor
    bias: Tensor | None

    def __init__(self, time: int, replicas: int, rows: int, hidden: int, like: Tensor) -> None:
        self.capacity, self.like = time, like
        self.shape = replicas, rows, hidden
        self.sums, self.of_sums = self.room(self.gates), self.room(self.gates)
        self.sums_at, self.of_sums_at = self.sums.unbind(0), self.of_sums.unbind(0)
        self.hidden = self.room(1, time + 1)  # before the first position, and after each
        self.hidden_at = self.hidden.unbind(0)
        self.of_outputs = self.room(1)
        self.of_outputs_at = self.of_outputs.unbind(0)
        self.of_hidden = like.new_empty(self.shape)
        self.prepare()

    def room(self, parts: int, time: int | None = None) -> Tensor:
        """(time, replicas, rows, parts · hidden), whatever stands in it."""
        replicas, rows, hidden = self.shape
        return self.like.new_empty(time or self.capacity, replicas, rows, parts * hidden)

    def prepare(self) -> None:
        """Make what else this kind needs."""

    @classmethod
    def begin(cls, weight: Tensor, bias: Tensor | None, start: tuple[Tensor, ...], time: int) -> Self:
        """A layer before its first position. bias: (replicas, size), of U h + b', where it acts inside a gate."""
        key = (cls, *start[0].shape, weight.dtype)
        free = cls._free[key]
        if free and free[-1].capacity < time:
            free.clear()
        replicas, rows, hidden = start[0].shape
        done: Self = free.pop() if free else cls(max(time, 16), replicas, rows, hidden, weight.new_empty(0))
        done.key, done.time, done.weight, done.turned = key, time, weight, weight.transpose(1, 2)
        done.bias = None if bias is None else bias.unsqueeze(1)
        done.hidden_at[0].copy_(start[0])
        done.start(start)
        return done

    def end(self) -> None:
        """Give the room back."""
        self._free[self.key].append(self)

    def start(self, start: tuple[Tensor, ...]) -> None:
        """Take in what else the state starts with."""

    def step(self, position: int) -> Tensor:
        """The output of a position, (replicas, rows, hidden), of what stands in ``sums_at[position]``."""
        raise NotImplementedError

    def states(self) -> tuple[Tensor, ...]:
        """What each position left, (time, replicas, rows, hidden) each: outputs first."""
        return (self.hidden[1 : self.time + 1],)

    def backward(self, of_states: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The gradients of what each position was given, of U h + b', and of each part of the start."""
        raise NotImplementedError


class LSTMRecurrence(Recurrence):
    """Gates in the order input, forget, candidate, output; there is no bias but that of what is given."""

    gates, kept = 4, 2

    def prepare(self) -> None:
        """See ``Recurrence.prepare``."""
        hidden = self.shape[2]
        self.open = self.room(4)
        self.cell = self.room(1, self.capacity + 1)
        self.bent = self.room(1)  # tanh of the cells
        self.cell_at, self.bent_at, self.open_at = self.cell.unbind(0), self.bent.unbind(0), self.open.unbind(0)
        self.candidate_sums = self.sums[..., 2 * hidden : 3 * hidden].unbind(0)
        self.entering, self.forget, self.candidate, self.leaving = (part.unbind(0) for part in self.open.chunk(4, -1))
        self.inward, self.outward, self.factors = self.room(1), self.room(1), self.room(3)
        self.inward_at, self.outward_at = self.inward.unbind(0), self.outward.unbind(0)
        self.factors_at = self.factors.unflatten(-1, (3, hidden)).unbind(0)
        self.first_at = self.of_sums[..., : 3 * hidden].unflatten(-1, (3, hidden)).unbind(0)
        self.last_at = self.of_sums[..., 3 * hidden :].unbind(0)
        self.of_cells = self.room(1)
        self.of_cells_at = self.of_cells.unbind(0)
        self.of_cell = self.like.new_empty(self.shape)
        self.of_cell_parts = self.of_cell.unsqueeze(-2)

    def start(self, start: tuple[Tensor, ...]) -> None:
        """See ``Recurrence.start``."""
        self.cell_at[0].copy_(start[1])

    def step(self, position: int) -> Tensor:
        """See ``Recurrence.step``."""
        sums, new, bent = self.sums_at[position], self.cell_at[position + 1], self.bent_at[position]
        sums.baddbmm_(self.hidden_at[position], self.turned)
        torch.sigmoid(sums, out=self.open_at[position])
        candidate = torch.tanh(self.candidate_sums[position], out=self.candidate[position])
        torch.mul(self.forget[position], self.cell_at[position], out=new)
        new.addcmul_(self.entering[position], candidate)
        torch.tanh(new, out=bent)
        return torch.mul(self.leaving[position], bent, out=self.hidden_at[position + 1])

    def states(self) -> tuple[Tensor, ...]:
        """See ``Recurrence.states``."""
        return self.hidden[1 : self.time + 1], self.cell[1 : self.time + 1]

    def backward(self, of_states: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """See ``Recurrence.backward``."""
        time, hidden = self.time, self.shape[2]
        opened, bent = self.open[:time], self.bent[:time]
        entering, _, candidate, leaving = opened.chunk(4, -1)
        slopes = torch.addcmul(opened, opened, opened, value=-1)
        torch.mul(leaving, 1 - bent * bent, out=self.inward[:time])  # from output to cell
        torch.mul(bent, slopes[..., 3 * hidden :], out=self.outward[:time])  # from output to its gate
        to_entering, to_forget, to_candidate = self.factors[:time].chunk(3, -1)  # from cell to the other gates
        torch.mul(candidate, slopes[..., :hidden], out=to_entering)
        torch.mul(self.cell[:time], slopes[..., hidden : 2 * hidden], out=to_forget)
        torch.mul(entering, 1 - candidate * candidate, out=to_candidate)
        self.of_outputs[:time].copy_(of_states[0])
        self.of_cells[:time].copy_(of_states[1])
        of_hidden, of_cell, carried = self.of_hidden, self.of_cell, torch.zeros_like(self.of_cell)
        of_hidden.zero_()
        for position in range(time - 1, -1, -1):
            of_hidden.add_(self.of_outputs_at[position])
            torch.addcmul(carried, of_hidden, self.inward_at[position], out=of_cell)
            of_cell.add_(self.of_cells_at[position])
            torch.mul(self.of_cell_parts, self.factors_at[position], out=self.first_at[position])
            torch.mul(of_hidden, self.outward_at[position], out=self.last_at[position])
            torch.bmm(self.of_sums_at[position], self.weight, out=of_hidden)
            torch.mul(of_cell, self.forget[position], out=carried)
        of_sums = self.of_sums[:time]
        return of_sums, of_sums, [of_hidden, carried]


class GRURecurrence(Recurrence):
    """Gates in the order reset, update, new; the reset gate acts on U h + b'."""

    gates = 3

    def prepare(self) -> None:
        """See ``Recurrence.prepare``."""
        hidden = self.shape[2]
        self.carried, self.open, self.new = self.room(3), self.room(2), self.room(1)
        self.carried_at, self.open_at, self.new_at = (each.unbind(0) for each in (self.carried, self.open, self.new))
        self.carried_gates = self.carried[..., : 2 * hidden].unbind(0)
        self.carried_new = self.carried[..., 2 * hidden :].unbind(0)
        self.given_gates = self.sums[..., : 2 * hidden].unbind(0)
        self.given_new = self.sums[..., 2 * hidden :].unbind(0)
        self.reset, self.update = (part.unbind(0) for part in self.open.chunk(2, -1))
        self.factors, self.gradients = self.room(3), self.room(1)
        self.factors_at = self.factors.unflatten(-1, (3, hidden)).unbind(0)
        self.gradients_at = self.gradients.unbind(0)
        self.gradient_parts = self.gradients.unsqueeze(-2).unbind(0)
        self.parts_at = self.of_sums.unflatten(-1, (3, hidden)).unbind(0)

    def step(self, position: int) -> Tensor:
        """See ``Recurrence.step``."""
        before, carried, new = self.hidden_at[position], self.carried_at[position], self.new_at[position]
        if self.bias is None:
            torch.bmm(before, self.turned, out=carried)
        else:
            torch.baddbmm(self.bias, before, self.turned, out=carried)
        torch.add(self.given_gates[position], self.carried_gates[position], out=self.open_at[position]).sigmoid_()
        torch.addcmul(self.given_new[position], self.reset[position], self.carried_new[position], out=new).tanh_()
        return torch.lerp(new, before, self.update[position], out=self.hidden_at[position + 1])

    def backward(self, of_states: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """See ``Recurrence.backward``."""
        time, hidden = self.time, self.shape[2]
        (reset, update), new = self.open[:time].chunk(2, -1), self.new[:time]
        slope = (1 - update) * (1 - new * new)
        to_reset, to_update, to_new = self.factors[:time].chunk(3, -1)
        torch.mul(slope, reset, out=to_new)
        torch.mul(slope * self.carried[:time, ..., 2 * hidden :], reset * (1 - reset), out=to_reset)
        torch.mul(self.hidden[:time] - new, update * (1 - update), out=to_update)
        self.gradients[:time].copy_(of_states[0])
        later = self.of_hidden.zero_()
        for position in range(time - 1, -1, -1):
            gradient = self.gradients_at[position].add_(later)
            torch.mul(self.gradient_parts[position], self.factors_at[position], out=self.parts_at[position])
            torch.mul(gradient, self.update[position], out=later)
            later.baddbmm_(self.of_sums_at[position], self.weight)
        of_carried = self.of_sums[:time]
        of_given = torch.cat((of_carried[..., : 2 * hidden], self.gradients[:time] * slope), dim=-1)
        return of_given, of_carried, [later]


class RNNRecurrence(Recurrence):
    """h = tanh(given + U h); there is no bias but that of what is given."""

    gates = 1

    def step(self, position: int) -> Tensor:
        """See ``Recurrence.step``."""
        sums = self.sums_at[position]
        sums.baddbmm_(self.hidden_at[position], self.turned)
        return torch.tanh(sums, out=self.hidden_at[position + 1])

    def slope(self, outputs: Tensor) -> Tensor:
        """The derivative of the activation where it gave these."""
        return 1 - outputs * outputs

    def backward(self, of_states: tuple[Tensor, ...]) -> tuple[Tensor, Tensor, list[Tensor]]:
        """See ``Recurrence.backward``."""
        time = self.time
        slopes = self.slope(self.hidden[1 : time + 1]).unbind(0)
        self.of_outputs[:time].copy_(of_states[0])
        gradient = self.of_hidden.zero_()
        for position in range(time - 1, -1, -1):
            gradient.add_(self.of_outputs_at[position])
            torch.mul(gradient, slopes[position], out=self.of_sums_at[position])
            torch.bmm(self.of_sums_at[position], self.weight, out=gradient)
        of_sums = self.of_sums[:time]
        return of_sums, of_sums, [gradient]


class ReluRecurrence(RNNRecurrence):
    """The same with relu."""

    def step(self, position: int) -> Tensor:
        """See ``Recurrence.step``."""
        sums = self.sums_at[position]
        sums.baddbmm_(self.hidden_at[position], self.turned)
        return torch.clamp(sums, min=0.0, out=self.hidden_at[position + 1])

    def slope(self, outputs: Tensor) -> Tensor:
        """See ``RNNRecurrence.slope``."""
        return (outputs > 0).to(outputs.dtype)


class Unrolled(torch.autograd.Function):
    """All positions of a layer: outputs, and what else each position left."""

    @staticmethod
    def forward(
        ctx: Any, kind: type[Recurrence], given: Tensor, weight: Tensor, bias: Tensor | None, *start: Tensor
    ) -> tuple[Tensor, ...]:
        """given: (time, replicas, rows, size); start: (replicas, rows, hidden) each."""
        ctx.done = done = kind.begin(weight, bias, start, len(given))
        done.sums[: len(given)].copy_(given)
        for position in range(len(given)):
            done.step(position)
        return tuple(each.clone() for each in done.states())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *of_states: Tensor) -> tuple[Tensor | None, ...]:
        """of_states: (time, replicas, rows, hidden) each."""
        done: Recurrence = ctx.done
        of_given, of_carried, of_start = done.backward(of_states)
        by_replica = of_carried.transpose(0, 1).flatten(1, 2)
        inputs = done.hidden[: done.time].permute(1, 3, 0, 2).flatten(2, 3)
        of_weight = torch.bmm(inputs, by_replica).transpose(1, 2)
        of_bias = None if done.bias is None else by_replica.sum(1)
        given = of_given.clone()
        starts = [each.clone() for each in of_start]
        done.end()
        return None, given, of_weight, of_bias, *starts
