"""The target of several replicas: one loop over positions, which feeds own tokens, and learns without a second one.

The loop runs without gradient and leaves what the backward passes of the layers need. All that is fed is known at its
end; then embeddings, layers and readout are joined for all positions at once, and the layers have no more to compute.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seq2seq_lightning.models.decoder import Decoder
from seq2seq_lightning.models.decoder_config import ReadoutActivation
from seq2seq_lightning.models.dropout import drop
from seq2seq_lightning.models.feedback import Readouts
from seq2seq_lightning.models.positions import Part
from seq2seq_lightning.models.replicas.cells import StackedCell
from seq2seq_lightning.models.replicas.looking import Attentive, Look
from seq2seq_lightning.models.replicas.looks import LOOKS
from seq2seq_lightning.models.replicas.modules import StackedEmbedding, StackedLinear
from seq2seq_lightning.models.replicas.reach import Reach, Some
from seq2seq_lightning.models.replicas.recurrence import Recurrence
from seq2seq_lightning.models.seq2seq import Begun, Seq2Seq
from seq2seq_lightning.models.stack import Residual, Stack


def is_looped(decoder: Decoder) -> bool:
    """Whether this loop knows the decoder: nothing but states, or one layer whose state asks before it moves."""
    asks = decoder.asks_before and type(decoder.attention) in LOOKS and len(decoder.stack.layers) == 1
    return decoder.is_fusible or (asks and not decoder.feeds_readout and is_bare(decoder.stack))


def is_bare(stack: Stack) -> bool:
    """Whether layers stand one on the other with nothing between them but dropout."""
    return not any(
        layer.norm_before is not None or layer.norm_after is not None or layer.residual is not Residual.none
        for layer in stack.layers
    )


def read_target(model: Seq2Seq, begun: Begun, own: Tensor | None, reach: Reach) -> Readouts:
    """The readout at every position. own: (rows, target_time), True where a row hears its own token."""
    decoder, masks, tokens = model.decoder, begun.masks, begun.target_inputs
    loop = None if decoder.is_fusible and own is None else TargetLoop(model, begun, reach)
    if loop is not None:
        tokens = loop.run(own)
    embedded = drop(decoder.embedding(tokens), masks.embedding)
    if decoder.is_fusible:
        return _at_once(decoder, begun, reach, tokens, embedded, None if loop is None else loop.rooms)
    assert loop is not None and loop.look is not None and decoder.attention is not None
    cell, state, memory = loop.cells[0], begun.state.layers[0], begun.memory
    given = *cell.parameters_in_order, memory.states, memory.keys, *loop.look.parameters(decoder.attention)
    start = (state[name] for name in cell.handed_over())
    tops, contexts = Attentive.apply(loop.rooms[0], loop.look, embedded, *given, *start)
    return Readouts(decoder.read_out(Part(tops, contexts, embedded, masks.output)), tokens)


def _at_once(
    decoder: Decoder, begun: Begun, reach: Reach, tokens: Tensor, embedded: Tensor, rooms: Sequence[Recurrence] | None
) -> Readouts:
    """``Decoder.unroll`` with layers that have run, where they have. embedded: (rows, target_time, size)."""
    memory, masks, context, tops = begun.memory, begun.masks, None, embedded
    if memory.context is not None:
        context = drop(memory.context.unsqueeze(1).expand(-1, reach.time, -1), masks.context)
        tops = torch.cat((embedded, context), dim=-1)
    for index, (layer, state, noise) in enumerate(
        zip(decoder.stack.layers, begun.state.layers, masks.layers, strict=True)
    ):
        cell = layer.cell
        assert isinstance(cell, StackedCell)
        done = cell.place(state, reach) if rooms is None else rooms[index]
        inputs, below = layer.enter(tops, noise.inputs), tops
        tops = layer.leave(below, cell.learn(done, rooms is not None, inputs, state)[0])
    if decoder.attention is not None:
        context = drop(decoder.attention(tops, memory).context, masks.context)
    return Readouts(decoder.read_out(Part(tops, context, embedded, masks.output)), tokens)


class Hearers(NamedTuple):
    """What some replicas need to choose what they hear."""

    first: Recurrence  # the first and the last layer
    top: Recurrence
    seen: Look | None  # where the output layer reads what was seen
    which: slice
    shape: tuple[int, int, int]  # of their embeddings at a position: (replicas, rows, size)
    offsets: Tensor  # (replicas, rows): where in the table of all those of the replica begin
    of_state: Tensor  # what the output layer multiplies the state with, (replicas, size, vocab)
    of_context: Tensor
    bias: Tensor  # (replicas, 1, vocab)


class TargetLoop:
    """All positions of the target, one after the other, without gradient.

    Where the readout is the state itself, or the state and what it saw, tokens are chosen for the replicas alone that
    hear them; otherwise for all.
    """

    table: Tensor  # (replicas · vocab, embedding size)
    offsets: Tensor  # (rows,): where in it those of each row's replica begin
    embedded: Tensor  # (rows, time, embedding size): of what is fed, dropped
    fed: Tensor  # (time, replicas, rows): where in the table it stands
    own: Tensor  # (time, replicas, rows) bool
    masks: Tensor | None  # of the embeddings, (time, replicas, rows, embedding size)
    top: Tensor  # (rows, size): what a stack that is not bare gave last

    def __init__(self, model: Seq2Seq, begun: Begun, reach: Reach) -> None:
        decoder = model.decoder
        self.model: Seq2Seq = model
        self.decoder: Decoder = decoder
        self.begun: Begun = begun
        self.reach: Reach = reach
        self.replicas, self.rows = len(reach.lengths), reach.lengths.shape[1]
        self.every = Some(0, self.replicas, 1)
        self.cells = [layer.cell for layer in decoder.stack.layers if isinstance(layer.cell, StackedCell)]
        self.rooms = [cell.place(state, reach) for cell, state in zip(self.cells, begun.state.layers, strict=True)]
        self.look: Look | None = None
        if not decoder.is_fusible:
            assert decoder.attention is not None
            kind = LOOKS[type(decoder.attention)]
            self.look = kind.begin(decoder.attention, begun.memory, self.rooms[0], begun.masks.context)
        self.is_bare = is_bare(decoder.stack)
        wide = [noise.inputs for noise in begun.masks.layers]
        self.between = [
            None if each is None else self._apart(each.expand(-1, reach.time, -1)).unbind(0) for each in wide
        ]
        self._known: dict[Some, Hearers] = {}
        self._going: Some | None = None

    @cached_property
    def is_plain(self) -> bool:
        """Whether the output layer reads the state and no more, but for what an attentive layer saw."""
        decoder = self.decoder
        reads_more = decoder.reads_embedding or (decoder.reads_context and self.look is None)
        maps = decoder.readout_map is not None or decoder.activation is not ReadoutActivation.none
        return self.is_bare and not (reads_more or maps or self.begun.masks.output is not None)

    @torch.no_grad()
    def run(self, own: Tensor | None) -> Tensor:
        """What is fed, (rows, target_time). own: likewise, True where a row hears its own token."""
        tokens, masks = self.begun.target_inputs, self.begun.masks
        embedding = self.decoder.embedding
        assert isinstance(embedding, StackedEmbedding)
        self.table, self.offsets = embedding.table(), embedding.offsets(len(tokens))
        places = tokens + self.offsets.unsqueeze(1)
        self.embedded = drop(F.embedding(places, self.table), masks.embedding)
        self.rooms[0].read(self._entered(0, self.reach.time))
        self.fed = self._apart(places).contiguous()
        self.masks = None if masks.embedding is None else self._apart(masks.embedding.expand_as(self.embedded))
        heard = [None] * self.reach.time if own is None else self._hearing(own)
        for position, (some, hearing) in enumerate(zip(self.reach.going, heard, strict=True)):
            if hearing is not None:
                self._hear(position, *hearing)
            self._move(position, some if self.is_bare else self.every)
        return tokens if own is None else self.fed.permute(1, 2, 0).reshape(tokens.shape) - self.offsets.unsqueeze(1)

    def _apart(self, values: Tensor) -> Tensor:
        """(rows, time, …) → (time, replicas, rows, …)."""
        return values.unflatten(0, (self.replicas, self.rows)).movedim(2, 0)

    def _entered(self, begin: int, end: int) -> Tensor:
        """What the first layer reads at some positions but what it sees in the loop, (rows, positions, size)."""
        context, mask, inputs = self.begun.memory.context, self.begun.masks.context, self.embedded[:, begin:end]
        if context is not None:
            wide = mask if mask is None or mask.shape[1] == 1 else mask[:, begin:end]
            inputs = torch.cat((inputs, drop(context.unsqueeze(1).expand(-1, end - begin, -1), wide)), dim=-1)
        return self.decoder.stack.layers[0].enter(inputs, None)

    def _hearing(self, own: Tensor) -> list[tuple[Hearers, bool] | None]:
        """Per position the replicas of which some row hears its own token, and whether all their rows do."""
        self.own = self._apart(own)
        counts = self.own.sum(2)
        known: dict[tuple[int, ...], tuple[Hearers, bool] | None] = {(0,) * self.replicas: None}
        found = []
        for hears in map(tuple, counts.tolist()):
            if hears not in known:
                members = tuple(index for index, count in enumerate(hears) if count)
                some = self.reach.around(members) if self.is_plain else self.every
                is_whole = all(hears[index] == self.rows for index in range(*some))
                known[hears] = self._hearers(some), is_whole
            found.append(known[hears])
        return found

    def _hearers(self, some: Some) -> Hearers:
        if some not in self._known:
            layer, size, which = self.model.output_layer, self.decoder.stack.output_size, some.slice
            assert isinstance(layer, StackedLinear) and layer.bias is not None
            turned = layer.weight[which].transpose(1, 2)
            self._known[some] = Hearers(
                self.rooms[0].among(some),
                self.rooms[-1].among(some),
                self.look.among(some) if self.look is not None and self.decoder.reads_context else None,
                which,
                (len(range(*some)), self.rows, self.table.shape[1]),
                self.offsets.view(self.replicas, -1)[which],
                turned[:, :size],
                turned[:, size:],
                layer.bias[which].unsqueeze(1),
            )
        return self._known[some]

    def _hear(self, position: int, hearers: Hearers, is_whole: bool) -> None:
        """Feed the tokens that were most probable at the position before."""
        here = position, hearers.which
        chosen, fed = self._logits(position - 1, hearers).argmax(-1), self.fed[here]
        if is_whole:
            torch.add(chosen, hearers.offsets, out=fed)
        else:
            fed.copy_(torch.where(self.own[here], chosen.add_(hearers.offsets), fed))
        embedded = self.table.index_select(0, fed.view(-1)).view(hearers.shape)
        if self.masks is not None:
            embedded.mul_(self.masks[here])
        if not self.is_plain:
            self.embedded[:, position] = embedded.flatten(0, 1)
            embedded = self._apart(self._entered(position, position + 1))[0]
        hearers.first.given(embedded, out=hearers.first.sums_at[position])

    def _move(self, position: int, some: Some) -> None:
        """From the state before a position to the one after it."""
        if some is not self._going:
            self._going, self._rooms = some, [room.among(some) for room in self.rooms]
            self._seen = None if self.look is None else self.look.among(some)
        first, seen = self._rooms[0], self._seen
        if seen is not None:
            context = seen.step(position, first.hidden_at[position])
            first.sums_at[position].baddbmm_(context, seen.reading_turned)
        output = first.step(position)
        if self.is_bare:
            for part, noise in zip(self._rooms[1:], self.between[1:], strict=True):
                inputs = output if noise is None else output * noise[position][some.slice]
                part.given(inputs, out=part.sums_at[position])
                output = part.step(position)
            return
        layers, inputs = self.decoder.stack.layers, output.flatten(0, 1)
        inputs = layers[0].leave(inputs, inputs)
        for layer, room, noise in zip(layers[1:], self.rooms[1:], self.between[1:], strict=True):
            entered = layer.enter(inputs, None if noise is None else noise[position].flatten(0, 1))
            room.given(entered.view(self.replicas, self.rows, -1), out=room.sums_at[position])
            inputs = layer.leave(inputs, room.step(position).flatten(0, 1))
        self.top = inputs

    def _logits(self, position: int, hearers: Hearers) -> Tensor:
        """What the replicas said at a position: (replicas, rows, vocab)."""
        if not self.is_plain:
            return self._apart(self.model.output_layer(self._readout(position)).unsqueeze(1))[0]
        found = torch.baddbmm(hearers.bias, hearers.top.hidden_at[position + 1], hearers.of_state)
        if hearers.seen is not None:
            found.baddbmm_(hearers.seen.contexts_at[position], hearers.of_context)
        return found

    def _readout(self, position: int) -> Tensor:
        """What the output layer reads, (rows, size)."""
        memory, masks, attention = self.begun.memory, self.begun.masks, self.decoder.attention
        top = self.rooms[-1].hidden_at[position + 1].flatten(0, 1) if self.is_bare else self.top
        mask, context = _at(masks.context, position), None
        if self.look is not None:
            context = self.look.contexts_at[position].flatten(0, 1)
        elif attention is not None:
            context = drop(attention(top.unsqueeze(1), memory).context.squeeze(1), mask)
        elif memory.context is not None:
            context = drop(memory.context, mask)
        return self.decoder.read_out(Part(top, context, self.embedded[:, position], _at(masks.output, position)))


def _at(mask: Tensor | None, position: int) -> Tensor | None:
    """A mask (rows, time or 1, size) at one position."""
    return None if mask is None else mask[:, position if mask.shape[1] > 1 else 0]
