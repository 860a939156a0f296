"""What a model costs in arithmetic, counted from its weights: the yardstick beside what a machine can do.

Counted are matrix products at real positions, which is what the model is asked for: neither padding nor the work of
activations, norms, elementwise recurrences, softmax, optimiser. Every weight matrix multiplies one vector per position
at which it is used; attention multiplies besides each target position with each source position of its sentence.
Embeddings are look-ups.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from torch import nn

from seq2seq_lightning.models.attention.attention import Attention
from seq2seq_lightning.models.cells.cell import Cell
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.models.stack import Layer, Stack
from seq2seq_lightning.models.summaries import Summariser

FLOPS_PER_MULTIPLY_ADD = 2
PASSES_OF_TRAINING = 3  # forward; backward to the inputs; backward to the weights


@dataclass(frozen=True)
class Positions:
    """How often the parts of a model are used for some pairs."""

    sentences: int
    source: int  # source positions, marks included
    target: int  # labels
    products: int  # Σ source positions × labels of each pair
    halved: tuple[tuple[int, int], ...] = field(default=(), compare=False)  # the two with sources halved once, twice, …

    @classmethod
    def of(cls, source_lengths: Iterable[int], label_lengths: Iterable[int]) -> Positions:
        """Of pairs with these lengths, one entry per pair."""
        pairs = [(int(source), int(labels)) for source, labels in zip(source_lengths, label_lengths, strict=True)]
        sources, labels = (sum(lengths) for lengths in zip(*pairs, strict=True))
        halved, shorter = [], pairs
        while max(source for source, _ in shorter) > 1:
            shorter = [((source + 1) // 2, label) for source, label in shorter]
            halved.append((sum(source for source, _ in shorter), sum(source * label for source, label in shorter)))
        products = sum(source * label for source, label in pairs)
        return cls(len(pairs), sources, labels, products, tuple(halved))

    def after(self, halvings: int) -> Positions:
        """The same pairs when each source has been halved so many times, odd ones rounded up."""
        if not halvings or not self.halved:
            return self
        source, products = self.halved[min(halvings, len(self.halved)) - 1]
        return replace(self, source=source, products=products)


def multiply_adds(model: Seq2Seq, positions: Positions, rows: int = 1) -> dict[str, int]:
    """Multiply-adds of one forward pass, by part of the model.

    rows: how many targets are written per source: 1 in training, the beam width in search.
    """
    decoder, encoder = model.decoder, model.encoder.stack
    projected = weights(model.encoder.input_projection) * positions.source
    read, positions = _of_encoder(encoder, positions)
    keys, attention = _of_attention(decoder.attention, encoder.output_size, positions)
    return {
        "encoder": projected + read,
        "bridge": weights(model.bridge) * positions.sentences,
        "keys": keys + _of_summary(decoder.summariser, encoder.output_size) * positions.source,
        "decoder": (_of_layers(decoder.stack) + _of_cell(decoder.transition)) * positions.target * rows,
        "attention": attention * rows,
        "readout": (weights(decoder.readout_map) + weights(decoder.generation_gate)) * positions.target * rows,
        "output": weights(model.output_layer) * positions.target * rows,
    }


def _of_encoder(stack: Stack, positions: Positions) -> tuple[int, Positions]:
    """All layers over the positions that each reads, the final states; and the positions that are left."""
    total, halvings = 0, 0
    for layer in stack.layers:
        halvings += layer.shape.joins_pairs
        total += _of_layer(layer) * positions.after(halvings).source
        total += weights(layer.projection) * len(layer.cell.handed_over()) * positions.sentences
    return total, positions.after(halvings)


def _of_layers(stack: Stack) -> int:
    return sum(_of_layer(layer) for layer in stack.layers)


def _of_layer(layer: Layer) -> int:
    """Once per position: the weights, and what a memory that is a matrix takes."""
    return weights(layer.projection) + _of_cell(layer.cell) + _of_cell(layer.reverse_cell)


def _of_cell(cell: Cell | None) -> int:
    return 0 if cell is None else weights(cell) + cell.state_products()


def _of_attention(attention: Attention | None, state_size: int, positions: Positions) -> tuple[int, int]:
    """(once per source, once per target): keys; queries, their comparison with every key, the sum of the states."""
    if attention is None:
        return 0, 0
    children = dict(attention.named_children())
    of_keys = sum(weights(children.get(name)) for name in ("key_map", "value_map"))
    of_queries = sum(weights(children.get(name)) for name in ("query_map", "output_map"))
    pairs = attention.pair_products(state_size) * positions.products
    return of_keys * positions.source, of_queries * positions.target + pairs


def _of_summary(summariser: Summariser | None, state_size: int) -> int:
    """Once per source position: a learned summary asks it, and sums it."""
    return 0 if summariser is None or summariser.query is None else weights(summariser.query) + state_size


def weights(module: nn.Module | None) -> int:
    """The elements of a module's weight matrices; none without a module."""
    if module is None:
        return 0
    return sum(parameter.numel() for parameter in module.parameters() if parameter.dim() > 1)
