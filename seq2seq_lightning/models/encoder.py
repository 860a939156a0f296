"""The encoder: embedding → dropout → stack. Gives a state per source position and where each layer stopped."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.cells.cell import CellConfig
from seq2seq_lightning.models.dropout import draw_mask, drop
from seq2seq_lightning.models.rules import at_least_one, probability
from seq2seq_lightning.models.stack import Combine, Direction, Layout, Norm, NormPlace, Residual, Stack
from seq2seq_lightning.models.state import CellState


@dataclass
class EncoderDropout:
    """The probability of dropping a unit, per place."""

    embedding: float = 0.0  # of the embeddings
    layers: float = 0.0  # of what a layer reads from the one below
    output: float = 0.0  # of the encoder states


@dataclass
class EncoderConfig:
    """How the source is read."""

    cell: CellConfig | None = None  # null: as `model/cell`
    embedding_size: int = 128
    hidden_size: int = 256  # per direction
    layers: int = 1
    direction: Direction = Direction.forward  # forward | bidirectional
    combine: Combine = Combine.concat  # concat | sum | project (2h → h, per layer), final states included
    residual: Residual = Residual.none  # none | add, from the second layer on
    norm: Norm = Norm.none  # none | layer, one per layer
    norm_place: NormPlace = NormPlace.before  # before | after the cell
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
        )

    @property
    def output_size(self) -> int:
        """The size of an encoder state, and of a final state."""
        return self.layout.output_size

    def problems(self) -> list[str]:
        """The rules of these fields alone."""
        found = []
        for name in ("embedding_size", "hidden_size", "layers"):
            found += at_least_one(f"model.encoder.{name}", getattr(self, name))
        for name in ("embedding", "layers", "output"):
            found += probability(f"model.encoder.dropout.{name}", getattr(self.dropout, name))
        return found


@dataclass(frozen=True)
class Encoded:
    """What the encoder made of a batch of sources."""

    states: Tensor  # (batch, source_time, size), not to be trusted at padding
    mask: Tensor  # (batch, source_time) bool, True real
    final_state: tuple[CellState, ...]  # per layer, (batch, size) each; two directions combined as the layers are

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
        self.embedding = nn.Embedding(vocab_size, config.embedding_size, padding_idx=pad_id)
        self.stack = Stack(config.cell, config.layout, config.embedding_size)

    def forward(self, source: Tensor, lengths: Tensor) -> Encoded:
        """Read a batch. source: (batch, source_time) ids; lengths: (batch,) int64 on the CPU."""
        embedded = self.embedding(source)
        embedded = drop(embedded, draw_mask(embedded.shape, self.dropout.embedding, self.training, embedded))
        unequal = None if int(lengths.min()) == source.shape[1] else lengths
        states, final_state = self.stack.unroll(embedded, None, unequal, self._layer_masks(embedded))
        states = drop(states, draw_mask(states.shape, self.dropout.output, self.training, states))
        return Encoded(states, real_positions(lengths, source), final_state)

    def _layer_masks(self, embedded: Tensor) -> list[Tensor | None]:
        shape = (*embedded.shape[:2], self.stack.output_size)
        above_first = range(len(self.stack.layers) - 1)
        return [draw_mask(shape, self.dropout.layers, self.training, embedded) for _ in above_first]


def real_positions(lengths: Tensor, source: Tensor) -> Tensor:
    """The mask that lengths describe, on the device of ``source``: (batch, source_time) bool, True real."""
    mask = torch.arange(source.shape[1]) < lengths.unsqueeze(1)
    return mask.to(source.device, non_blocking=True)
