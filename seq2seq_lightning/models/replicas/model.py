"""Several replicas over their own batches at once: what a training step asks of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Protocol

import torch
from torch import Tensor

from seq2seq_lightning.models.dropout import LayerNoise, Masks, drop
from seq2seq_lightning.models.encoder import Encoded, Encoder, real_positions
from seq2seq_lightning.models.feedback import Feedback, Readouts
from seq2seq_lightning.models.replicas.memory import keep_freed_memory
from seq2seq_lightning.models.replicas.reach import Reach
from seq2seq_lightning.models.replicas.stacking import Block, stacked
from seq2seq_lightning.models.replicas.target import is_looped, read_target
from seq2seq_lightning.models.seq2seq import Begun, Seq2Seq
from seq2seq_lightning.models.stack import Stack


class Extent(Protocol):
    """The batch that a replica would have alone."""

    @property
    def rows(self) -> int:
        """Its sentences."""

    @property
    def source_time(self) -> int:
        """The width of its sources."""

    @property
    def target_time(self) -> int:
        """The width of its targets."""


@dataclass(frozen=True)
class Drawn:
    """The dropout of a batch."""

    embedding: Tensor | None
    layers: list[LayerNoise]
    output: Tensor | None
    decoder: Masks


class Replicas:
    """Models of one form, each with its own weights, computing together.

    Rows are those of the first replica, then those of the second; each replica has as many.
    """

    def __init__(self, models: Sequence[Seq2Seq]) -> None:
        keep_freed_memory()
        self.count, self.plain = len(models), models[0]
        self.block = Block(models)
        parameters = self.block.parameters()
        self.model = stacked(models[0], parameters)
        self.learning = [parameters[name] for name in self.block.places]
        self.gradients = self.block.gradients()
        known = {id(each): name for name, each in models[0].named_parameters()}
        every = models[0].named_parameters(remove_duplicate=False)
        self.names = {name: known[id(each)] for name, each in every}  # shared ones have several

    def draw(self, shares: Sequence[Extent], seeds: Sequence[int], rows: int, source_time: int, time: int) -> Drawn:
        """The dropout of a batch: each replica's as it would draw it alone, from a generator of its own.

        shares: the batch that each would have alone; seeds: of its generator; rows, source_time, time: of each in the
        common one. Whatever is not drawn is padding.
        """
        model, draws = self.plain, _Draws(shares, seeds, rows, self.block.gradient)
        encoder, its = model.encoder, model.encoder.dropout
        source = draws.over(source_time, its.variational, [share.source_time for share in shares])
        embedding = source(encoder.embedding.embedding_dim, its.embedding)
        layers = [LayerNoise(source(size, its.layers)) for size in _read_between(encoder.stack)]
        output = source(encoder.stack.output_size, its.output)
        decoder, own = model.decoder, model.decoder.config.dropout
        target = draws.over(time, own.variational, [share.target_time for share in shares])
        masks = Masks(
            target(decoder.config.embedding_size, own.embedding),
            [LayerNoise(target(size, own.layers)) for size in _read_between(decoder.stack)],
            target(decoder.context_size, own.context),
            target(decoder.readout_size, own.output),
        )
        return Drawn(embedding, layers, output, masks)

    def begin(self, source: Tensor, lengths: Tensor, target_inputs: Tensor, drawn: Drawn) -> Begun:
        """Read the sources. source: (rows, source_time), lengths: (rows,), target_inputs: (rows, target_time)."""
        model = self.model
        encoded = encode(model.encoder, source, lengths, drawn)
        memory = model.decoder.remember(encoded)
        state = model.decoder.start(model.bridge(encoded, model.decoder.stack), memory)
        return Begun(target_inputs, memory, state, drawn.decoder)

    def unroll(self, begun: Begun, own: Tensor | None, times: Sequence[int]) -> Readouts:
        """The readout at every target position.

        own: (rows, target_time), True where a row hears its own token; times: how many positions each replica has.
        """
        decoder, tokens = self.model.decoder, begun.target_inputs
        if is_looped(decoder):
            reach = Reach.even(times, len(tokens) // self.count, tokens.shape[1])
            return read_target(self.model, begun, own, reach)
        feedback = None if own is None else self._feedback(tokens, own)
        return decoder.unroll_stepwise(tokens, begun.state, begun.memory, feedback, begun.masks)

    def logits(self, readout: Tensor) -> Tensor:
        """(rows, …, size) → (rows, …, vocab)."""
        return self.model.output_layer(readout)

    def backward(self, loss: Tensor) -> None:
        """Put the gradient of a loss into the block."""
        found = torch.autograd.grad(loss, self.learning, materialize_grads=True)
        torch._foreach_copy_(self.gradients, found)
        self.block.values.grad = self.block.gradient

    def clip(self, largest: float) -> Tensor:
        """Scale each replica's gradient down to a norm, and return what the norms were: (replicas,)."""
        gradient = self.block.gradient
        norms = torch.linalg.vector_norm(gradient, dim=1)
        gradient.mul_((largest / (norms + 1e-6)).clamp(max=1.0).unsqueeze(1))
        return norms

    def _feedback(self, tokens: Tensor, own: Tensor) -> Feedback:
        """All rows choose wherever one of them does; those that hear gold choose that."""
        rows = torch.arange(len(own))
        occupied = own.any(0).tolist()
        begins = [0, *accumulate(len(own) if each else 0 for each in occupied)]

        def choose(said: Readouts, _: Tensor, position: int | Tensor) -> Tensor:
            chosen = self.logits(said.readout).argmax(-1)
            return torch.where(own[:, position], chosen, tokens[:, position])

        return Feedback(rows.repeat(sum(occupied)), torch.empty(0), begins, choose)


def encode(encoder: Encoder, source: Tensor, lengths: Tensor, drawn: Drawn) -> Encoded:
    """``Encoder.forward`` under dropout that is given."""
    embedded = drop(encoder.embedding(source), drawn.embedding)
    inputs = embedded if encoder.input_projection is None else encoder.input_projection(embedded)
    unequal = None if int(lengths.min()) == source.shape[1] else lengths
    states, ends = encoder.stack.unroll(inputs, None, unequal, drawn.layers)
    lengths = encoder.stack.layout.shortened(lengths)
    names = encoder.stack.layers[0].cell.handed_over()
    final_state = tuple({name: end[name] for name in names} for end in ends)
    return Encoded(drop(states, drawn.output), real_positions(lengths, states), final_state)


def _read_between(stack: Stack) -> list[int | None]:
    """What each layer reads from the one below: its size, None for the first, whose input is not dropped here."""
    return [None, *(layer.shape.input_size for layer in stack.layers[1:])]


class _Draws:
    """Masks in the order in which they are asked for."""

    def __init__(self, shares: Sequence[Extent], seeds: Sequence[int], rows: int, like: Tensor) -> None:
        self.shares, self.rows, self.like = shares, rows, like
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def over(self, time: int, variational: bool, own: Sequence[int]) -> Callable[[int | None, float], Tensor | None]:
        """What draws masks (rows, time, size), or for all positions (rows, 1, size); own: the time of each replica."""

        def draw(size: int | None, probability: float) -> Tensor | None:
            if size is None or probability == 0.0:
                return None
            widths = [1] * len(own) if variational else own
            return self._mask(1 if variational else time, widths, size, 1.0 - probability)

        return draw

    def _mask(self, time: int, widths: Sequence[int], size: int, keep: float) -> Tensor:
        """As ``draw_mask``, for each replica in a batch of its own."""
        masks = self.like.new_zeros(len(widths), self.rows, time, size)
        for whole, share, width, generator in zip(masks, self.shares, widths, self.generators, strict=True):
            part = whole[: share.rows, :width]
            if part.is_contiguous():
                part.bernoulli_(keep, generator=generator)
            else:
                part.copy_(part.new_empty(part.shape).bernoulli_(keep, generator=generator))
        return masks.div_(keep).flatten(0, 1)
