"""The decoder: embedding → stack → readout, with what it sees of the source joined where its config says.

One position (`step`), all positions one after the other (`unroll_stepwise`), or all at once where nothing of a
position feeds the next but the state (`unroll`); the three agree, dropout included.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.attention.attention import Attention
from seq2seq_lightning.models.cells import build_cell
from seq2seq_lightning.models.copying import GenerationGate
from seq2seq_lightning.models.decoder_config import Context, Copy, DecoderConfig, ReadoutActivation
from seq2seq_lightning.models.deferred import DeferredEmbedding, DeferredLinear
from seq2seq_lightning.models.dropout import Masks, draw_mask, drop
from seq2seq_lightning.models.embeddings import build_embedding
from seq2seq_lightning.models.encoder import Encoded
from seq2seq_lightning.models.feedback import Feedback, Readouts
from seq2seq_lightning.models.positions import Moves, Part, Position, Seen, conditional
from seq2seq_lightning.models.stack import Stack
from seq2seq_lightning.models.state import CellState, Memory, State
from seq2seq_lightning.models.summaries import Summariser


def activate(joined: Tensor, activation: ReadoutActivation) -> Tensor:
    """What the readout layer's values (…, size) become; under maxout half as many."""
    match activation:
        case ReadoutActivation.tanh:
            return torch.tanh(joined)
        case ReadoutActivation.maxout:
            return joined.unflatten(-1, (-1, 2)).amax(-1)
        case ReadoutActivation.none:
            return joined


class Decoder(nn.Module):
    """Embedding, attention, stack and readout of the target side; the output layer lies outside."""

    def __init__(
        self,
        config: DecoderConfig,
        attention: Attention | None,
        vocab_size: int,
        context_size: int,
        pad_id: int,
        is_fusible: bool,
    ) -> None:
        super().__init__()
        assert config.cell is not None
        self.config, self.context_size = config, context_size
        self.asks_before, self.asks_after = config.asks_before, config.asks_after
        self.is_fusible, self.feeds_readout = is_fusible, config.input_feeding
        self.reads_context = config.readout.context and config.context is not Context.initial
        self.reads_embedding = config.readout.embedding
        self.activation = config.readout.activation
        self.readout_size = config.readout_size(context_size)
        self.embedding = build_embedding(config.embedding, vocab_size, config.embedding_size, pad_id)
        self.attention = attention if config.context is Context.attention else None
        self.stack = Stack(config.cell, config.layout, config.input_size(context_size))
        self.transition = None
        if config.asks_between:
            self.transition = build_cell(config.cell, context_size, config.hidden_size)
        self.summariser = Summariser(config.summary, context_size) if config.context is Context.every_step else None
        has_layer = config.readout.size is not None or self.activation is not ReadoutActivation.none
        joined, pieces = config.joined_size(context_size), 2 if self.activation is ReadoutActivation.maxout else 1
        self.readout_map = nn.Linear(joined, pieces * self.readout_size, bias=False) if has_layer else None
        self.generation_gate = None
        if config.copy is Copy.pointer_generator:
            self.generation_gate = GenerationGate(context_size, self.stack.output_size, config.embedding_size)

    def remember(self, encoded: Encoded) -> Memory:
        """What the decoder sees of these sources at every position."""
        keys, values = None, None
        if self.attention is not None:
            keys, values = self.attention.keys(encoded.states), self.attention.values(encoded.states)
        context = None if self.summariser is None else self.summariser(encoded)
        return Memory(encoded.states, encoded.mask, keys, context, values)

    def start(self, layers: tuple[CellState, ...], memory: Memory) -> State:
        """The state before the first position, from where the bridge starts each layer."""
        hidden = layers[0]["hidden"]
        feed = hidden.new_zeros(hidden.shape[0], self.readout_size) if self.feeds_readout else None
        return State(layers, feed, None if self.attention is None else self.attention.start(memory))

    def unroll(
        self, tokens: Tensor, state: State, memory: Memory, masks: Masks | None = None, truncate: int | None = None
    ) -> Readouts:
        """All positions at once, where the architecture permits it.

        tokens: (batch, target_time), what is fed at each position; masks: dropout that several passes share, None to
        draw it here; truncate: gradients of the state end at every so many positions, None: nowhere.
        """
        assert self.is_fusible
        batch, time = tokens.shape
        masks = masks or self.draw_masks(batch, time, state)
        embedded = drop(self.embedding(tokens), masks.embedding)
        context, weights, inputs = None, None, embedded
        if memory.context is not None:
            context = drop(memory.context.unsqueeze(1).expand(-1, time, -1), masks.context)
            inputs = torch.cat((embedded, context), dim=-1)
        tops = self._recur_at_once(inputs, state.layers, masks, truncate or time)
        if self.attention is not None:
            attended = self.attention(tops, memory)
            context, weights = drop(attended.context, masks.context), attended.weights
        part = Part(tops, context, embedded, masks.output)
        return Readouts(self.read_out(part), tokens, weights, self._gate(part), copy_ids=memory.copy_ids)

    def unroll_stepwise(
        self,
        tokens: Tensor,
        state: State,
        memory: Memory,
        feedback: Feedback | None = None,
        masks: Masks | None = None,
        truncate: int | None = None,
    ) -> Readouts:
        """One position after the other, feeding the model's own tokens where asked.

        tokens: (batch, target_time), the gold inputs; masks, truncate: as for `unroll`.
        """
        batch, time = tokens.shape
        masks = masks or self.draw_masks(batch, time, state)
        moves = self.begin(batch, time, masks)
        fed, embeddings = list(tokens.unbind(1)), self._embeddings(tokens, feedback)
        parts: list[Part] = []
        feeds: list[Tensor] = []
        for position, mask in enumerate(masks.positions(time)):
            ends = truncate is not None and position > 0 and position % truncate == 0
            state = state.map(Tensor.detach) if ends else state
            rows = None if feedback is None else feedback.at(position)
            if feedback is None or rows is None:
                embedded = embeddings(fed[position])
            else:
                own = self._own(feedback, parts[-1], feeds, rows, position)
                fed[position], embedded = self._hear(fed[position], rows, own.detach() if ends else own, embeddings)
            embedded = drop(embedded, mask.embedding)
            done = self.advance(embedded, state, memory, mask, moves)
            parts.append(Part(done.top, done.context, embedded, mask.output, done.weights))
            if self.feeds_readout:
                feeds.append(self.read_out(parts[-1], moves.read_out))
            state = State(done.layers, feeds[-1] if feeds else None, done.carried)
        fed_tokens = tokens if feedback is None else torch.stack(fed, 1)
        if feeds and self.generation_gate is None:
            return Readouts(torch.stack(feeds, 1), fed_tokens, Part.all_weights(parts))
        whole = Part.stack(parts, masks.output)
        readout = torch.stack(feeds, 1) if feeds else self.read_out(whole)
        return Readouts(readout, fed_tokens, whole.weights, self._gate(whole), copy_ids=memory.copy_ids)

    def step(self, tokens: Tensor, state: State, memory: Memory) -> tuple[Readouts, State]:
        """One position, and the state after it. tokens: (rows,), rows = sentences × width, sentence-major."""
        mask = self.draw_masks(tokens.shape[0], 1, state).positions(1)[0]
        embedded = drop(self.embedding(tokens), mask.embedding)
        moves = Moves(None, self.attention, self.readout_map)
        if self.transition is not None:
            rows = tokens.shape[0]
            cells = self.stack.begin(rows, 1, mask.layers)
            moves = replace(moves, cells=cells, transition=self.transition.begin(rows, 1, mask.transition))
        done = self.advance(embedded, state, memory, mask, moves)
        part = Part(done.top, done.context, embedded, mask.output)
        found = Readouts(self.read_out(part), tokens, done.weights, self._gate(part))
        return found, State(done.layers, found.readout if self.feeds_readout else None, done.carried)

    def advance(self, embedded: Tensor, state: State, memory: Memory, mask: Masks, moves: Moves) -> Position:
        """Move the stack by one position. embedded: (rows, embedding_size)."""
        seen: list[Seen] = []

        def ask(query: Tensor) -> Tensor:
            seen.append(self._attend(query, state, memory, mask, moves))
            return seen[0].context

        inputs, cells = [embedded], moves.cells
        if self.asks_before:
            inputs.append(ask(state.layers[-1]["hidden"]))
        elif memory.context is not None:
            width = embedded.shape[0] // memory.context.shape[0]
            rows = memory.context if width == 1 else memory.context.repeat_interleave(width, 0)
            seen.append(Seen(drop(rows, mask.context), None, None))
            inputs.append(seen[0].context)
        if state.feed is not None:
            inputs.append(state.feed)
        joined = inputs[0] if len(inputs) == 1 else torch.cat(inputs, dim=1)
        if moves.transition is not None:
            assert cells is not None
            cells = [conditional(cells[0], ask, moves.transition), *cells[1:]]
        top, layers = self.stack.step(joined, state.layers, mask.layers, cells)
        if self.asks_after:
            ask(top)
        return Position(top, layers, *seen[0]) if seen else Position(top, layers, None, None, None)

    def read_out(self, part: Part, readout_map: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """What the output layer reads: (…, readout_size). readout_map: within a loop, that of its moves."""
        joined = [part.top]
        if self.reads_context:
            assert part.context is not None
            joined.append(part.context)
        if self.reads_embedding:
            joined.append(part.embedded)
        readout = joined[0] if len(joined) == 1 else torch.cat(joined, dim=-1)
        if self.readout_map is not None:
            readout = (readout_map or self.readout_map)(readout)
        return drop(activate(readout, self.activation), part.mask)

    def _gate(self, part: Part) -> Tensor | None:
        """The logit of generating a word instead of copying one, where there is the choice."""
        if self.generation_gate is None:
            return None
        assert part.context is not None
        return self.generation_gate(part.context, part.top, part.embedded)

    def draw_masks(self, batch: int, time: int, state: State) -> Masks:
        """Dropout for a whole target, always drawn in this order, so that every way of computing drops the same."""
        dropout, like = self.config.dropout, state.layers[0]["hidden"]

        def draw(size: int, probability: float) -> Tensor | None:
            return draw_mask((batch, 1 if dropout.variational else time, size), probability, self.training, like)

        return Masks(
            draw(self.config.embedding_size, dropout.embedding),
            self.stack.draw(dropout, batch, time, self.training, like),
            draw(self.context_size, dropout.context),
            draw(self.readout_size, dropout.output),
            None if self.transition is None else self.transition.draw_noise(dropout, batch, time, self.training, like),
        )

    def recur(
        self, tokens: Tensor, layers: tuple[CellState, ...], memory: Memory, mask: Masks, moves: Moves
    ) -> tuple[Part, tuple[CellState, ...]]:
        """Move the stack by one position where nothing else is carried on; the attention is not asked yet.

        tokens: (batch,). Returns what the readout joins, but for the attention's context, and the state after it.
        """
        embedded = drop(self.embedding(tokens), mask.embedding)
        context = None if memory.context is None else drop(memory.context, mask.context)
        joined = embedded if context is None else torch.cat((embedded, context), dim=1)
        top, layers = self.stack.step(joined, layers, mask.layers, moves.cells)
        return Part(top, context, embedded, mask.output), layers

    def _recur_at_once(self, inputs: Tensor, layers: tuple[CellState, ...], masks: Masks, truncate: int) -> Tensor:
        """The outputs of the stack at all positions; no gradient passes from one stretch of positions to the next."""
        tops = []
        for begin in range(0, inputs.shape[1], truncate):
            noise = [layer.between(begin, begin + truncate) for layer in masks.layers]
            if begin:
                layers = tuple({name: value.detach() for name, value in layer.items()} for layer in layers)
            outputs, layers = self.stack.unroll(inputs[:, begin : begin + truncate], layers, None, noise)
            tops.append(outputs)
        return tops[0] if len(tops) == 1 else torch.cat(tops, dim=1)

    def say(self, part: Part) -> Readouts:
        """What the output layer reads of one position, (rows, …)."""
        return Readouts(self.read_out(part), None, part.weights, self._gate(part))

    def _own(self, feedback: Feedback, before: Part, feeds: list[Tensor], rows: Tensor, position: int) -> Tensor:
        """What these rows choose to hear: ids (n,), or weights (n, vocab), which alone carry gradients."""
        with torch.set_grad_enabled(feedback.mixes and torch.is_grad_enabled()):
            some = before.select(rows)
            readout = feeds[-1][rows] if feeds else self.read_out(some)
            return feedback.choose(Readouts(readout, None, some.weights, self._gate(some)), rows, position)

    def _hear(
        self, gold: Tensor, rows: Tensor, own: Tensor, embeddings: Callable[[Tensor], Tensor]
    ) -> tuple[Tensor, Tensor]:
        """The tokens fed at a position (batch,), and their embeddings, which these rows may have mixed."""
        if not own.is_floating_point():
            tokens = gold.index_copy(0, rows, own)
            return tokens, embeddings(tokens)
        assert self.embedding.padding_idx is not None
        weights = own.clone()
        weights[:, self.embedding.padding_idx] = 0.0  # its embedding is zero, and is to stay so: it is never mixed in
        tokens = gold.index_copy(0, rows, own.detach().argmax(-1))
        embedded = embeddings(tokens)
        mixed = weights.to(embedded.dtype) @ self.embedding.weight
        return tokens, embedded.index_copy(0, rows, mixed.to(embedded.dtype))

    def begin(self, rows: int, time: int, masks: Masks) -> Moves:
        """What a loop over the next ``time`` positions of as many rows shares between them."""
        attend = None if self.attention is None else self.attention.begin(rows, time)
        read_out: Callable[[Tensor], Tensor] | None = self.readout_map
        if self.readout_map is not None and self.feeds_readout and torch.is_grad_enabled():
            read_out = DeferredLinear(self.readout_map.weight, None, rows, time)
        transition = None if self.transition is None else self.transition.begin(rows, time, masks.transition)
        return Moves(self.stack.begin(rows, time, masks.layers), attend, read_out, transition)

    def _embeddings(self, tokens: Tensor, feedback: Feedback | None) -> Callable[[Tensor], Tensor]:
        """What looks up the tokens fed at one position after the other: gold ones are looked up all at once."""
        if feedback is None:
            gold = iter(self.embedding(tokens).unbind(1))
            return lambda _: next(gold)
        if not torch.is_grad_enabled():
            return self.embedding
        assert self.embedding.padding_idx is not None
        return DeferredEmbedding(self.embedding.weight, self.embedding.padding_idx, *tokens.shape)

    def _attend(self, query: Tensor, state: State, memory: Memory, mask: Masks, moves: Moves) -> Seen:
        """query: (rows, query_size)."""
        assert moves.attend is not None
        rows, sentences = query.shape[0], memory.states.shape[0]

        def beams(value: Tensor) -> Tensor:
            return value.unsqueeze(1) if rows == sentences else value.unflatten(0, (sentences, rows // sentences))

        carried = None if state.attention is None else {name: beams(value) for name, value in state.attention.items()}
        attended = moves.attend(beams(query), memory, carried)
        if attended.carried is not None:
            carried = {name: value.flatten(0, 1) for name, value in attended.carried.items()}
        return Seen(drop(attended.context.view(rows, -1), mask.context), attended.weights.view(rows, -1), carried)
