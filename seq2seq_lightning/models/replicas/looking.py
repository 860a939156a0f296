"""Attention that is asked by the state before a position, inside of the loop, and its backward pass."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from seq2seq_lightning.models.attention.attention import Attention
from seq2seq_lightning.models.replicas.reach import Some
from seq2seq_lightning.models.replicas.recurrence import Recurrence
from seq2seq_lightning.models.replicas.room import Room
from seq2seq_lightning.models.state import Memory


class Look(Room):
    """What each position sees of the sources: weights (replicas, rows, source_time), contexts (…, size)."""

    telling = "contexts"
    kept = 500_000  # there is one for each source time

    keys: Tensor  # (replicas, rows, source_time, key size)
    states: Tensor  # (replicas, rows, source_time, size)
    closed: Tensor | None  # what to add to the scores, (replicas, rows, source_time): the least number at padding
    mask: Tensor | None  # dropout of the contexts, (time, replicas, rows, size)
    reading: Tensor  # what of W reads the context, (replicas, …, size), as the gradient of what is read has its rows
    reading_turned: Tensor

    @classmethod
    def begin(cls, attention: Attention, memory: Memory, done: Recurrence, mask: Tensor | None) -> Self:
        """Before the first position of a layer. mask: (rows, time or 1, size)."""
        replicas, rows = done.reach.lengths.shape
        states, keys = (
            each.detach().unflatten(0, (replicas, rows)) for each in (memory.states, memory.keys) if each is not None
        )
        sizes = cls.sizes(states.shape[2], states.shape[3], keys.shape[3])
        look = cls.take(done.reach, sizes, states)
        look.states, look.keys = states, keys
        look.closed = None
        if not bool(memory.mask.all()):
            lowest = torch.finfo(states.dtype).min
            look.closed = states.new_zeros(memory.mask.shape).masked_fill_(~memory.mask, lowest).view(states.shape[:3])
        time = done.reach.time
        look.mask = None
        if mask is not None:
            look.mask = mask.expand(-1, time, -1).unflatten(0, (replicas, rows)).permute(2, 0, 1, 3)
        reading = done.weights.given[..., -states.shape[3] :]
        look.reading, look.reading_turned = done.reading(reading), reading.transpose(1, 2)
        look.compare(attention)
        look.arrange()
        return look

    @classmethod
    def sizes(cls, source_time: int, size: int, key_size: int) -> dict[str, int]:
        """Of what is held."""
        return {"weights": source_time, "contexts": size, "of_contexts": size, "of_scores": source_time}

    def look(self) -> None:
        """See ``Room.look``."""
        held = self.held
        self.weights_at, self.contexts_at = held["weights"].unbind(0), held["contexts"].unbind(0)
        self.of_contexts_at, self.of_scores_at = held["of_contexts"].unbind(0), held["of_scores"].unbind(0)
        self.weights_alone, self.contexts_alone, self.of_contexts_alone, self.of_scores_alone = (
            held[name].flatten(1, 2).unsqueeze(2).unbind(0)
            for name in ("weights", "contexts", "of_contexts", "of_scores")
        )

    def lend(self, part: Self, some: Some) -> None:
        """See ``Room.lend``."""
        part.keys, part.states = self.keys[some.slice], self.states[some.slice]
        part.closed = None if self.closed is None else self.closed[some.slice]
        part.mask = None if self.mask is None else self.mask[:, some.slice]
        part.reading, part.reading_turned = self.reading[some.slice], self.reading_turned[some.slice]
        part.arrange()

    def arrange(self) -> None:
        """Make the views that depend on this use of the room."""
        self.states_alone = self.states.flatten(0, 1)
        self.states_turned = self.states_alone.transpose(1, 2)
        self.mask_at = None if self.mask is None else self.mask.unbind(0)

    @abstractmethod
    def compare(self, attention: Attention) -> None:
        """Take what the comparison needs."""

    @abstractmethod
    def scores(self, position: int, hidden: Tensor) -> Tensor:
        """(replicas, rows, source_time), the least number at padding. hidden: (replicas, rows, size)."""

    def step(self, position: int, hidden: Tensor) -> Tensor:
        """What a position sees, (replicas, rows, size), dropped. hidden: (replicas, rows, size), the state before."""
        torch.softmax(self.scores(position, hidden), -1, out=self.weights_at[position])
        torch.bmm(self.weights_alone[position], self.states_alone, out=self.contexts_alone[position])
        context = self.contexts_at[position]
        return context if self.mask_at is None else context.mul_(self.mask_at[position])

    def contexts(self) -> Tensor:
        """Of all positions, (rows, time, size); past the end of a replica whatever stands there."""
        return self.by_row("contexts").flatten(0, 1)

    # -- backwards -----------------------------------------------------------------------------------------------------

    def receive(self, of_contexts: Tensor | None) -> None:
        """Put the gradient of what was given out in its place. of_contexts: (rows, time, size)."""
        time = self.reach.time
        if of_contexts is None:
            self.held["of_contexts"][:time].zero_()
        else:
            by_row = of_contexts.unflatten(0, (self.replicas, self.rows))
            self.held["of_contexts"][:time].copy_(by_row.permute(2, 0, 1, 3))
        if not self.reach.is_even:
            self.held["of_scores"][:time].zero_()

    def factor(self) -> None:
        """All that does not wait for the gradient of a later position."""

    def back(self, position: int, of_read: Tensor, of_hidden: Tensor) -> None:
        """From the gradient of what the cell read to that of the scores; adds that of the state before."""
        of_context, weights = self.of_contexts_at[position].baddbmm_(of_read, self.reading), self.weights_at[position]
        if self.mask_at is not None:
            of_context.mul_(self.mask_at[position])
        of_weights = torch.bmm(self.of_contexts_alone[position], self.states_turned).view(weights.shape)
        shares = of_weights.mul_(weights)
        torch.addcmul(shares, weights, shares.sum(-1, keepdim=True), value=-1, out=self.of_scores_at[position])
        self.ask_back(position, of_hidden)

    @abstractmethod
    def ask_back(self, position: int, of_hidden: Tensor) -> None:
        """From the gradient of the scores to that of the state that asked, which is added to ``of_hidden``."""

    def of_states(self) -> Tensor:
        """The gradient of the states, (rows, source_time, size): as they are summed, not as keys."""
        weights, of_contexts = (self.by_row(name).flatten(0, 1) for name in ("weights", "of_contexts"))
        return torch.bmm(weights.transpose(1, 2), of_contexts)

    @abstractmethod
    def of_comparison(self, hidden: Tensor) -> tuple[Tensor, ...]:
        """The gradients of keys (rows, source_time, …) and ``parameters``. hidden: by row, the states that asked."""

    @classmethod
    def parameters(cls, attention: Attention) -> tuple[Tensor, ...]:
        """What else of the attention takes gradients here."""
        del attention
        return ()


class Attentive(torch.autograd.Function):
    """A layer that read a context at each position, asked for by the state before, and has run: it learns here.

    Gives outputs (rows, time, hidden) and contexts (rows, time, size), dropped.
    """

    @staticmethod
    def forward(ctx: Any, done: Recurrence, look: Look, inputs: Tensor, *given: Tensor | None) -> tuple[Tensor, Tensor]:
        """inputs: (rows, time, size), what is read before the context; given: the weights, the sources' states and
        keys, the parameters of the comparison, and each part of the start."""
        ctx.done, ctx.seen, ctx.inputs = done, look, inputs
        ctx.set_materialize_grads(False)
        contexts = look.contexts()
        ctx.save_for_backward(contexts)
        return done.outputs(), contexts

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_outputs: Tensor | None, of_contexts: Tensor | None) -> tuple[Tensor | None, ...]:
        """Of what ``forward`` gave."""
        done: Recurrence = ctx.done
        look: Look = ctx.seen
        done.receive(of_outputs, ())
        look.receive(of_contexts)
        done.factor()
        look.factor()
        for position, (part, seen) in reversed(list(enumerate(zip(done.parts(), look.parts(), strict=True)))):
            part.back(position)
            seen.back(position, part.of_read_at[position], part.of_hidden_at[position])
        of_given, of_weights = done.of_weights(torch.cat((ctx.inputs, *ctx.saved_tensors), dim=2))
        size = ctx.inputs.shape[2]
        of_inputs = torch.bmm(of_given, done.weights.given[..., :size]).view(ctx.inputs.shape)
        of_keys, *of_parameters = look.of_comparison(done.by_row("hidden").flatten(1, 2))
        found = None, None, of_inputs, *of_weights, look.of_states(), of_keys, *of_parameters, *done.of_start()
        done.give_back()
        look.give_back()
        return found
