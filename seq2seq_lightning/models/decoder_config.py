"""How the target is written: the decoder's settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from seq2seq_lightning.models.cells.cell import CellConfig
from seq2seq_lightning.models.embeddings import EmbeddingConfig
from seq2seq_lightning.models.rules import at_least_one, probability
from seq2seq_lightning.models.stack import Layout, Norm, NormPlace, Residual


class Context(Enum):
    """What the decoder sees of the source."""

    initial = "initial"  # its initial state only (Sutskever et al. 2014)
    every_step = "every_step"  # a fixed vector at every position (Cho et al. 2014)
    attention = "attention"  # a weighted sum of encoder states, anew at every position


class Query(Enum):
    """Which state asks the attention."""

    previous = "previous"  # the top state before the position; the context joins the input (Bahdanau et al. 2015)
    between = "between"  # what a first cell makes of the input; a second one reads the context (Sennrich et al. 2017)
    current = "current"  # the top output at the position; the context joins the readout alone (Luong et al. 2015)


class Summary(Enum):
    """What the fixed vector of ``every_step`` is."""

    last = "last"  # the last layer's final hidden state, of two directions each at the end of its own way
    top = "top"  # what a forward last layer gives at the last real position, its residual and norm included
    mean = "mean"  # the mean encoder state over real positions
    max = "max"  # the largest value of each unit over real positions
    learned = "learned"  # a softmax-weighted sum of encoder states, asked for by a learned vector


class Tie(Enum):
    """Which embeddings share their weights with the output layer."""

    none = "none"
    decoder = "decoder"  # the target embedding
    all = "all"  # the target embedding and the source embedding


class Copy(Enum):
    """How words of the source can be written as they stand there."""

    none = "none"
    pointer_generator = "pointer_generator"  # by the attention that a gate mixes in (See et al. 2017)


class ReadoutActivation(Enum):
    """What the readout does to what it joins."""

    none = "none"
    tanh = "tanh"
    maxout = "maxout"  # the larger one of each two units (Goodfellow et al. 2013, Bahdanau et al. 2015, A.2.2)


@dataclass
class ReadoutConfig:
    """What the output layer reads: [state; context; embedding], as it is or through a layer of its own."""

    context: bool = True  # whether the context is part of it, where there is one
    embedding: bool = False  # whether the input embedding is part of it
    activation: ReadoutActivation = ReadoutActivation.tanh  # tanh | maxout: of a layer W [...]; none
    size: int | None = None  # of what it gives; null: the decoder's hidden size, or no layer under none


@dataclass
class DecoderDropout:
    """The probability of dropping a unit, per place."""

    embedding: float = 0.0  # of the input embeddings
    layers: float = 0.0  # of what a layer reads from the one below
    context: float = 0.0  # of the context, wherever it goes
    output: float = 0.0  # of the readout
    variational: bool = False  # whether all positions of a target share their masks (Gal and Ghahramani 2016)
    recurrent: float = 0.0  # of the state as the recurrent matrices read it, one mask for all positions
    zoneout: float = 0.0  # of keeping a unit's previous value (Krueger et al. 2017)
    weight: float = 0.0  # of the elements of the recurrent matrices, one mask per update (Merity et al. 2018)


@dataclass
class DecoderConfig:
    """How the target is written."""

    cell: CellConfig | None = None  # null: as `model/cell`
    embedding_size: int = 128
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    hidden_size: int = 256
    layers: int = 1
    residual: Residual = Residual.none  # none | add | concat, from the second layer on
    norm: Norm = Norm.none  # none | layer, one per layer
    norm_place: NormPlace = NormPlace.before  # before | after the cell
    context: Context = Context.attention  # initial | every_step | attention
    query: Query | None = None  # previous | between | current; null: current, and the only choice without attention
    input_feeding: bool = False  # whether the readout joins the next input; needs attention
    summary: Summary = Summary.last  # last | top | mean | max | learned: the vector of `context=every_step`
    tie: Tie = Tie.none  # none | decoder | all
    copy: Copy = Copy.none  # none | pointer_generator; needs attention
    coverage_loss: float = 0.0  # weight of the loss on attending twice (See et al. 2017); needs attention
    readout: ReadoutConfig = field(default_factory=ReadoutConfig)
    dropout: DecoderDropout = field(default_factory=DecoderDropout)

    @property
    def layout(self) -> Layout:
        """The form of the stack."""
        return Layout(self.hidden_size, self.layers, self.residual, self.norm, self.norm_place)

    @property
    def output_size(self) -> int:
        """The size of what the stack gives."""
        return self.layout.output_size

    @property
    def query_size(self) -> int:
        """The size of what asks the attention: a cell's state, or the output of the stack at the position."""
        return self.output_size if self.asks_after else self.hidden_size

    @property
    def asks_before(self) -> bool:
        """Whether the attention is asked before the step."""
        return self.context is Context.attention and self.query is Query.previous

    @property
    def asks_between(self) -> bool:
        """Whether the attention is asked between the two cells of the bottom layer."""
        return self.context is Context.attention and self.query is Query.between

    @property
    def asks_after(self) -> bool:
        """Whether the attention is asked after the step."""
        return self.context is Context.attention and self.query in (Query.current, None)

    @property
    def feeds_on_attention(self) -> bool:
        """Whether what the attention found, or what came of it, enters the stack."""
        return self.input_feeding or self.asks_before or self.asks_between

    def joined_size(self, context_size: int) -> int:
        """The size of [state; context; embedding] as the readout joins it."""
        sees = self.readout.context and self.context is not Context.initial
        return self.output_size + sees * context_size + self.readout.embedding * self.embedding_size

    def readout_size(self, context_size: int) -> int:
        """The size of what the output layer reads."""
        if self.readout.size is not None:
            return self.readout.size
        is_plain = self.readout.activation is ReadoutActivation.none
        return self.joined_size(context_size) if is_plain else self.hidden_size

    def input_size(self, context_size: int) -> int:
        """The size of what the first layer reads: [embedding; context; previous readout]."""
        sees = self.context is Context.every_step or self.asks_before
        feed = self.input_feeding * self.readout_size(context_size)
        return self.embedding_size + sees * context_size + feed

    def problems(self) -> list[str]:
        """The rules of these fields alone."""
        found = []
        for name in ("embedding_size", "hidden_size", "layers"):
            found += at_least_one(f"model.decoder.{name}", getattr(self, name))
        found += at_least_one("model.decoder.readout.size", self.readout.size)
        for name in ("embedding", "layers", "context", "output"):
            found += probability(f"model.decoder.dropout.{name}", getattr(self.dropout, name))
        return found + self._problems_of_context()

    def _problems_of_context(self) -> list[str]:
        found = []
        seen, attends = self.context.value, self.context is Context.attention
        if self.query is not None and not attends:
            found.append(
                f"`model.decoder.query={self.query.value}` asks an attention, but `model.decoder.context={seen}` has "
                f"none. Set `model.decoder.context=attention` or `model.decoder.query=null`."
            )
        if self.input_feeding and not attends:
            found.append(
                f"`model.decoder.input_feeding=true` needs an attention, but `model.decoder.context={seen}` has none. "
                f"Set `model.decoder.context=attention` or `model.decoder.input_feeding=false`."
            )
        if self.summary is not Summary.last and self.context is not Context.every_step:
            found.append(
                f"`model.decoder.summary={self.summary.value}` is the vector of `context=every_step`, but "
                f"`model.decoder.context={seen}` has none. Set `model.decoder.context=every_step` or "
                f"`model.decoder.summary=last`."
            )
        if self.asks_after and not self.readout.context:
            found.append(
                "`model.decoder.readout.context=false` leaves the context of `model.decoder.query=current` unread: it "
                "reaches the readout alone. Set `model.decoder.readout.context=true` or `model.decoder.query=previous`."
            )
        found += self._problems_of_copying()
        if self.dropout.context and self.context is Context.initial:
            found.append(
                f"`model.decoder.dropout.context={self.dropout.context}` has no context to drop from with "
                f"`model.decoder.context=initial`. Set it to 0.0 or choose another context."
            )
        return found

    def _problems_of_copying(self) -> list[str]:
        found = []
        if self.coverage_loss < 0:
            found.append(f"`model.decoder.coverage_loss={self.coverage_loss}` must be at least 0.0 (1.0 is usual).")
        if self.context is Context.attention:
            return found
        seen = self.context.value
        if self.copy is not Copy.none:
            found.append(
                f"`model.decoder.copy={self.copy.value}` copies what an attention points at, but "
                f"`model.decoder.context={seen}` has none. Set `model.decoder.context=attention` or "
                f"`model.decoder.copy=none`."
            )
        if self.coverage_loss > 0:
            found.append(
                f"`model.decoder.coverage_loss={self.coverage_loss}` looks at attention weights, but "
                f"`model.decoder.context={seen}` has none. Set `model.decoder.context=attention` or "
                f"`model.decoder.coverage_loss=0.0`."
            )
        return found
