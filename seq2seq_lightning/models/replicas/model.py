"""Several replicas over their own batches at once: what a training step asks of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2seq_lightning.models.dropout import LayerNoise, Masks, draw_mask, drop
from seq2seq_lightning.models.encoder import Encoded, Encoder, real_positions
from seq2seq_lightning.models.feedback import Feedback, Readouts
from seq2seq_lightning.models.positions import Part
from seq2seq_lightning.models.replicas.cells import Running
from seq2seq_lightning.models.replicas.stacking import Block, stacked
from seq2seq_lightning.models.seq2seq import Begun, Seq2Seq
from seq2seq_lightning.models.state import State


@dataclass(frozen=True)
class Drawn:
    """The dropout of one replica's batch, or of all of them."""

    embedding: Tensor | None
    layers: list[LayerNoise]
    output: Tensor | None
    decoder: Masks


class Replicas:
    """Models of one form, each with its own weights, computing together.

    Rows are those of the first replica, then those of the second; each replica has as many.
    """

    def __init__(self, models: Sequence[Seq2Seq]) -> None:
        self.count, self.plain = len(models), models[0]
        self.block = Block(models)
        parameters = self.block.parameters()
        self.model = stacked(models[0], parameters)
        self.learning = [parameters[name] for name in self.block.places]
        self.gradients = self.block.gradients()
        known = {id(each): name for name, each in models[0].named_parameters()}
        every = models[0].named_parameters(remove_duplicate=False)
        self.names = {name: known[id(each)] for name, each in every}  # shared ones have several

    def draw(self, rows: int, source_time: int, target_time: int) -> Drawn:
        """The dropout that one replica draws for a batch of its own, as it would alone, from the global generator."""
        encoder, decoder = self.plain.encoder, self.plain.decoder
        like, dropout = encoder.embedding.weight, encoder.dropout

        def drawn(size: int, probability: float, time: int) -> Tensor | None:
            return draw_mask((rows, 1 if dropout.variational else time, size), probability, True, like)

        embedding = drawn(encoder.embedding.embedding_dim, dropout.embedding, source_time)
        layers = encoder.stack.draw(dropout, rows, source_time, True, like)
        time = int(encoder.stack.layout.shortened(torch.tensor(source_time)))
        output = drawn(encoder.stack.output_size, dropout.output, time)
        state = State(({"hidden": like},))
        return Drawn(embedding, layers, output, decoder.draw_masks(rows, target_time, state))

    def begin(self, source: Tensor, lengths: Tensor, target_inputs: Tensor, drawn: Drawn) -> Begun:
        """Read the sources. source: (rows, source_time), lengths: (rows,), target_inputs: (rows, target_time)."""
        model = self.model
        encoded = encode(model.encoder, source, lengths, drawn)
        memory = model.decoder.remember(encoded)
        state = model.decoder.start(model.bridge(encoded, model.decoder.stack), memory)
        return Begun(target_inputs, memory, state, drawn.decoder)

    def unroll(self, begun: Begun, own: Tensor | None) -> Readouts:
        """The readout at every target position. own: (rows, target_time), True where a row hears its own token."""
        decoder = self.model.decoder
        tokens, state, memory, masks = begun.target_inputs, begun.state, begun.memory, begun.masks
        if decoder.is_fusible:
            tokens = tokens if own is None else self._search(begun, own)
            return decoder.unroll(tokens, state, memory, masks)
        feedback = None if own is None else self._feedback(tokens, own)
        return decoder.unroll_stepwise(tokens, state, memory, feedback, masks)

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

    @torch.no_grad()
    def _search(self, begun: Begun, own: Tensor) -> Tensor:
        """What is fed where nothing of a position feeds the next but the state: (rows, target_time)."""
        decoder, memory, layers = self.model.decoder, begun.memory, begun.state.layers
        last = int(own.any(0).nonzero().max())
        fed, heard = list(begun.target_inputs.unbind(1)), own.unbind(1)
        moves = decoder.begin(len(own), last, begun.masks)
        for position, mask in enumerate(begun.masks.positions(own.shape[1])[:last]):
            part, layers = decoder.recur(fed[position], layers, memory, mask, moves)
            if decoder.attention is not None:
                attended = decoder.attention(part.top.unsqueeze(1), memory)
                part = Part(part.top, drop(attended.context.squeeze(1), mask.context), part.embedded, part.mask)
            chosen = self.logits(decoder.read_out(part)).argmax(-1)
            fed[position + 1] = torch.where(heard[position + 1], chosen, fed[position + 1])
        for step in moves.cells or ():
            assert isinstance(step, Running)
            step.end()
        return torch.stack(fed, 1)

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


def join(drawn: Sequence[Drawn], rows: int, source_time: int, target_time: int) -> Drawn:
    """The dropout of all replicas, each drawn for its own rows and widths, as that of a batch of common ones.

    What it is filled up with, zeros, meets padding alone.
    """

    def joined(masks: Sequence[Tensor | None], time: int) -> Tensor | None:
        found = [mask for mask in masks if mask is not None]
        if not found:
            return None
        width = 1 if all(mask.shape[1] == 1 for mask in found) else time  # shared by all positions
        return torch.cat([F.pad(mask, (0, 0, 0, width - mask.shape[1], 0, rows - len(mask))) for mask in found])

    def layers(sides: Sequence[Sequence[LayerNoise]], time: int) -> list[LayerNoise]:
        return [LayerNoise(joined([each.inputs for each in layer], time)) for layer in zip(*sides, strict=True)]

    decoders = [each.decoder for each in drawn]
    masks = Masks(
        joined([each.embedding for each in decoders], target_time),
        layers([each.layers for each in decoders], target_time),
        joined([each.context for each in decoders], target_time),
        joined([each.output for each in decoders], target_time),
    )
    return Drawn(
        joined([each.embedding for each in drawn], source_time),
        layers([each.layers for each in drawn], source_time),
        joined([each.output for each in drawn], source_time),
        masks,
    )
