"""The LSTM, the GRU and the simple recurrent network as recurrences."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from seq2seq_lightning.models.replicas.recurrence import Recurrence


class LSTMRecurrence(Recurrence):
    """Gates in the order input, forget, candidate, output; there is no bias but that of what is given.

    The gradient of the sums has that of the cell before in front of it: four products with one factor in a row.
    """

    gates = 4
    own: ClassVar[dict[str, int]] = {
        "open": 4,
        "cell": 1,
        "bent": 1,  # tanh of the cells
        "inward": 1,  # from output to cell
        "outward": 1,  # from output to its gate
        "factors": 4,  # from cell to the one before and to the other gates
        "of_sums": 5,
        "of_cells": 1,
        "of_cell": 1,
    }

    def look(self) -> None:
        """See ``Room.look``."""
        super().look()
        size, held = self.size, self.held
        self.open_at, self.cell_at, self.bent_at = (held[name].unbind(0) for name in ("open", "cell", "bent"))
        self.candidate_sums = held["sums"][..., 2 * size : 3 * size].unbind(0)
        self.entering, self.forget, self.candidate, self.leaving = (
            part.unbind(0) for part in held["open"].chunk(4, -1)
        )
        self.inward_at, self.outward_at = held["inward"].unbind(0), held["outward"].unbind(0)
        self.factors_at = held["factors"].unflatten(-1, (4, size)).unbind(0)
        self.of_carried_at = held["of_sums"][..., :size].unbind(0)
        self.of_first_at = held["of_sums"][..., : 4 * size].unflatten(-1, (4, size)).unbind(0)
        self.of_last_at = held["of_sums"][..., 4 * size :].unbind(0)
        self.of_read_at = held["of_sums"][..., size:].unbind(0)
        self.of_cells_at, self.of_cell = held["of_cells"].unbind(0), held["of_cell"][0]
        self.of_cell_parts = self.of_cell.unsqueeze(-2)

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

    def receive(self, of_outputs: Tensor | None, of_ends: tuple[Tensor | None, ...]) -> None:
        """See ``Recurrence.receive``."""
        super().receive(of_outputs, of_ends)
        time = self.reach.time
        self.held["of_sums"][0 if not self.reach.is_even else time : time + 1].zero_()
        if len(of_ends) > 1 and of_ends[1] is not None:
            self.arriving.update(self.reach.ends)
            of_cells = self.held["of_cells"][:time].zero_()
            of_cells.view(-1, self.size).index_copy_(0, self.reach.last, of_ends[1])

    def factor(self) -> None:
        """See ``Recurrence.factor``."""
        time, size, held = self.reach.time, self.size, self.held
        opened, bent, factors = held["open"][:time], held["bent"][:time], held["factors"][:time]
        entering, forget, candidate, leaving = opened.chunk(4, -1)
        slopes = torch.addcmul(opened, opened, opened, value=-1)
        torch.mul(leaving, 1 - bent * bent, out=held["inward"][:time])
        torch.mul(bent, slopes[..., 3 * size :], out=held["outward"][:time])
        to_before, to_entering, to_forget, to_candidate = factors.chunk(4, -1)
        to_before.copy_(forget)
        torch.mul(candidate, slopes[..., :size], out=to_entering)
        torch.mul(held["cell"][:time], slopes[..., size : 2 * size], out=to_forget)
        torch.mul(entering, 1 - candidate * candidate, out=to_candidate)

    def back(self, position: int) -> None:
        """See ``Recurrence.back``."""
        of_output, of_cell = self.of_hidden_at[position + 1], self.of_cell
        torch.addcmul(self.of_carried_at[position + 1], of_output, self.inward_at[position], out=of_cell)
        if position in self.arriving:
            of_cell.add_(self.of_cells_at[position])
        torch.mul(self.of_cell_parts, self.factors_at[position], out=self.of_first_at[position])
        torch.mul(of_output, self.outward_at[position], out=self.of_last_at[position])
        self.of_hidden_at[position].baddbmm_(self.of_read_at[position], self.weight)

    def of_sums(self) -> tuple[Tensor, Tensor]:
        """See ``Recurrence.of_sums``."""
        found = self.by_row("of_sums").flatten(1, 2)[..., self.size :].contiguous()
        return found, found

    def of_start(self) -> tuple[Tensor, ...]:
        """See ``Recurrence.of_start``."""
        return *super().of_start(), self.of_carried_at[0].reshape(-1, self.size).clone()


class GRURecurrence(Recurrence):
    """Gates in the order reset, update, new; the reset gate acts on U h + b'.

    The gradient of the sums is that of U h + b', and behind it that of W x in the new gate.
    """

    gates = 3
    bias_is_inside = True
    own: ClassVar[dict[str, int]] = {"carried": 3, "open": 2, "new": 1, "factors": 4, "of_sums": 4}

    def look(self) -> None:
        """See ``Room.look``."""
        super().look()
        size, held = self.size, self.held
        self.carried_at, self.open_at, self.new_at = (held[name].unbind(0) for name in ("carried", "open", "new"))
        self.carried_gates = held["carried"][..., : 2 * size].unbind(0)
        self.carried_new = held["carried"][..., 2 * size :].unbind(0)
        self.given_gates = held["sums"][..., : 2 * size].unbind(0)
        self.given_new = held["sums"][..., 2 * size :].unbind(0)
        self.reset, self.update = (part.unbind(0) for part in held["open"].chunk(2, -1))
        self.factors_at = held["factors"].unflatten(-1, (4, size)).unbind(0)
        self.of_parts_at = held["of_sums"].unflatten(-1, (4, size)).unbind(0)
        self.of_carried_at = held["of_sums"][..., : 3 * size].unbind(0)
        self.of_read_at = held["of_sums"].unbind(0)
        self.of_output_parts = held["of_hidden"].unsqueeze(-2).unbind(0)

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

    def factor(self) -> None:
        """See ``Recurrence.factor``."""
        time, size, held = self.reach.time, self.size, self.held
        (reset, update), new = held["open"][:time].chunk(2, -1), held["new"][:time]
        to_reset, to_update, to_carried, to_given = held["factors"][:time].chunk(4, -1)
        torch.mul(1 - update, 1 - new * new, out=to_given)
        torch.mul(to_given, reset, out=to_carried)
        torch.mul(to_given * held["carried"][:time, ..., 2 * size :], reset * (1 - reset), out=to_reset)
        torch.mul(held["hidden"][:time] - new, update * (1 - update), out=to_update)
        if not self.reach.is_even:
            held["of_sums"][:time].zero_()

    def back(self, position: int) -> None:
        """See ``Recurrence.back``."""
        before = self.of_hidden_at[position]
        torch.mul(self.of_output_parts[position + 1], self.factors_at[position], out=self.of_parts_at[position])
        before.addcmul_(self.of_hidden_at[position + 1], self.update[position])
        before.baddbmm_(self.of_carried_at[position], self.weight)

    def of_sums(self) -> tuple[Tensor, Tensor]:
        """See ``Recurrence.of_sums``."""
        found, size = self.by_row("of_sums").flatten(1, 2), self.size
        given = torch.cat((found[..., : 2 * size], found[..., 3 * size :]), dim=-1)
        return given, found[..., : 3 * size].contiguous()

    def reading(self, weight: Tensor) -> Tensor:
        """See ``Recurrence.reading``."""
        size = 2 * self.size
        return torch.cat((weight[:, :size], torch.zeros_like(weight[:, size:]), weight[:, size:]), dim=1)


class RNNRecurrence(Recurrence):
    """h = tanh(given + U h); there is no bias but that of what is given."""

    gates = 1
    own: ClassVar[dict[str, int]] = {"of_sums": 1, "slopes": 1}

    def look(self) -> None:
        """See ``Room.look``."""
        super().look()
        self.of_read_at, self.slopes_at = self.held["of_sums"].unbind(0), self.held["slopes"].unbind(0)

    def step(self, position: int) -> Tensor:
        """See ``Recurrence.step``."""
        sums = self.sums_at[position]
        sums.baddbmm_(self.hidden_at[position], self.turned)
        return torch.tanh(sums, out=self.hidden_at[position + 1])

    def slope(self, outputs: Tensor) -> Tensor:
        """The derivative of the activation where it gave these."""
        return 1 - outputs * outputs

    def factor(self) -> None:
        """See ``Recurrence.factor``."""
        time = self.reach.time
        self.held["slopes"][:time].copy_(self.slope(self.held["hidden"][1 : time + 1]))
        if not self.reach.is_even:
            self.held["of_sums"][:time].zero_()

    def back(self, position: int) -> None:
        """See ``Recurrence.back``."""
        of_sums = self.of_read_at[position]
        torch.mul(self.of_hidden_at[position + 1], self.slopes_at[position], out=of_sums)
        self.of_hidden_at[position].baddbmm_(of_sums, self.weight)

    def of_sums(self) -> tuple[Tensor, Tensor]:
        """See ``Recurrence.of_sums``."""
        found = self.by_row("of_sums").flatten(1, 2)
        return found, found


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
