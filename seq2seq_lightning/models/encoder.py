"""The encoder: embedding → dropout → stack. Gives a state per source position and where each layer stopped."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.cells.cell import CellConfig
from seq2seq_lightning.models.dropout import draw_mask, drop
from seq2seq_lightning.models.embeddings import EmbeddingConfig, build_embedding
from seq2seq_lightning.models.rules import at_least_one, probability
from seq2seq_lightning.models.stack import Combine, Direction, Layout, Norm, NormPlace, Residual, Stack
from seq2seq_lightning.models.state import CellState


@dataclass
class EncoderDropout:
    """The probability of dropping a unit, per place."""

    embedding: float = 0.0  # of the embeddings
    layers: float = 0.0  # of what a layer reads from the one below
    output: float = 0.0  # of the encoder states
    variational: bool = False  # whether all positions of a sequence share their masks (Gal and Ghahramani 2016)
    recurrent: float = 0.0  # of the state as the recurrent matrices read it, one mask for all positions
    zoneout: float = 0.0  # of keeping a unit's previous value (Krueger et al. 2017)
    weight: float = 0.0  # of the elements of the recurrent matrices, one mask per update (Merity et al. 2018)


@dataclass
class EncoderConfig:
    """How the source is read."""

    cell: CellConfig | None = None  # null: as `model/cell`
    embedding_size: int = 128
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    input_projection: int | None = None  # size of a linear map between embedding and first layer; null: none
    hidden_size: int = 256  # per direction
    layers: int = 1
    direction: Direction = Direction.forward  # forward | bidirectional | bidirectional_first (layer only)
    combine: Combine = Combine.concat  # concat | sum | project (2h → h, per layer), final states included
    residual: Residual = Residual.none  # none | add | concat, from the second layer on
    norm: Norm = Norm.none  # none | layer, one per layer
    norm_place: NormPlace = NormPlace.before  # before | after the cell
    pyramid: int = 0  # boundaries between layers, the lowest first, at which pairs of positions become one
    dropout: EncoderDropout = field(default_factory=EncoderDropout)

    @property
    def layout(self) -> Layout:
        """The form of the stack."""
        return Layout(
            self.hidden_size,
            self.layers,
            self.residual,
            self.norm,
            self.norm_place,
            self.direction,
            self.combine,
            self.pyramid,
        )

    @property
    def output_size(self) -> int:
        """The size of an encoder state."""
        return self.layout.output_size

    def problems(self) -> list[str]:
        """The rules of these fields alone."""
        found = []
        for name in ("embedding_size", "hidden_size", "layers"):
            found += at_least_one(f"model.encoder.{name}", getattr(self, name))
        for name in ("embedding", "layers", "output"):
            found += probability(f"model.encoder.dropout.{name}", getattr(self.dropout, name))
        return found + at_least_one("model.encoder.input_projection", self.input_projection)


@dataclass(frozen=True)
class Encoded:
    """What the encoder made of a batch of sources."""

    states: Tensor  # (batch, source_time, size), not to be trusted at padding; with a pyramid fewer than was read
    mask: Tensor  # (batch, source_time) bool, True real
    final_state: tuple[CellState, ...]  # per layer, (batch, size) each; two directions combined as the layers are

    @property
    def last(self) -> Tensor:
        """The state at each sentence's last real position, (batch, size)."""
        last = self.mask.sum(1, keepdim=True).unsqueeze(2) - 1
        return self.states.gather(1, last.expand(-1, -1, self.states.shape[2])).squeeze(1)

    @property
    def maximum(self) -> Tensor:
        """The largest value of each unit over a sentence's real states, (batch, size)."""
        return self.states.masked_fill(~self.mask.unsqueeze(2), -torch.inf).amax(1)

    @property
    def mean(self) -> Tensor:
        """The mean of each sentence's real states, (batch, size)."""
        real = self.mask.unsqueeze(2)
        return self.states.masked_fill(~real, 0.0).sum(1) / real.sum(1)


class Encoder(nn.Module):
    """Embedding and stack of the source side."""

    def __init__(self, config: EncoderConfig, vocab_size: int, pad_id: int) -> None:
        super().__init__()
        assert config.cell is not None
        self.dropout = config.dropout
        self.embedding = build_embedding(config.embedding, vocab_size, config.embedding_size, pad_id)
        projected = config.input_projection
        self.input_projection = None if projected is None else nn.Linear(config.embedding_size, projected)
        self.stack = Stack(config.cell, config.layout, projected or config.embedding_size)

    def forward(self, source: Tensor, lengths: Tensor) -> Encoded:
        """Read a batch. source: (batch, source_time) ids; lengths: (batch,) int64 on the CPU."""
        embedded = self._drop(self.embedding(source), self.dropout.embedding)
        inputs = embedded if self.input_projection is None else self.input_projection(embedded)
        unequal = None if int(lengths.min()) == source.shape[1] else lengths
        noise = self.stack.draw(self.dropout, inputs.shape[0], inputs.shape[1], self.training, embedded)
        states, ends = self.stack.unroll(inputs, None, unequal, noise)
        lengths = self.stack.layout.shortened(lengths)
        handed_over = self.stack.layers[0].cell.handed_over()
        final_state = tuple({name: end[name] for name in handed_over} for end in ends)
        return Encoded(self._drop(states, self.dropout.output), real_positions(lengths, states), final_state)

    def _drop(self, values: Tensor, probability: float) -> Tensor:
        """Dropout of (batch, time, size), with one mask for all positions where it is variational."""
        shape = (values.shape[0], 1 if self.dropout.variational else values.shape[1], values.shape[2])
        return drop(values, draw_mask(shape, probability, self.training, values))


def real_positions(lengths: Tensor, states: Tensor) -> Tensor:
    """The mask that lengths describe, on the device of ``states``: (batch, source_time) bool, True real."""
    mask = torch.arange(states.shape[1]) < lengths.unsqueeze(1)
    return mask.to(states.device, non_blocking=True)
