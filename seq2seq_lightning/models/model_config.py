"""The `model` section as a whole: its settings, and the rules between its parts, checked without building anything."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from seq2seq_lightning.models.attention import AdditiveAttentionConfig, AttentionConfig
from seq2seq_lightning.models.bridges import BridgeConfig, BridgeSizes, DenseBridgeConfig
from seq2seq_lightning.models.cells import CellConfig, GRUConfig
from seq2seq_lightning.models.decoder_config import Context, Copy, DecoderConfig, Summary, Tie
from seq2seq_lightning.models.embeddings import EmbeddingConfig
from seq2seq_lightning.models.encoder import EncoderConfig
from seq2seq_lightning.models.initialisation import InitialisationConfig
from seq2seq_lightning.models.rules import own_name
from seq2seq_lightning.models.stack import Norm, NormPlace, Residual
from seq2seq_lightning.models.stack_rules import stack_problems


@dataclass
class ModelConfig:
    """An encoder-decoder; vocabulary sizes come from the data."""

    cell: CellConfig | None = None  # of both sides, where a side does not name its own; null: gru
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    attention: AttentionConfig | None = (
        None  # of `model.decoder.context=attention`, unused by the others; null: additive
    )
    bridge: BridgeConfig | None = None  # null: dense
    initialisation: InitialisationConfig = field(default_factory=InitialisationConfig)

    def completed(self) -> ModelConfig:
        """The same settings with every choice spelt out: the cell of each side, attention and bridge.

        Not done on creation: a filled-in choice could no longer be replaced by another class when configs are merged.
        """
        cell = self.cell or GRUConfig()
        return replace(
            self,
            cell=cell,
            encoder=replace(self.encoder, cell=self.encoder.cell or cell),
            decoder=replace(self.decoder, cell=self.decoder.cell or cell),
            attention=self.attention or AdditiveAttentionConfig(),
            bridge=self.bridge or DenseBridgeConfig(),
        )

    @property
    def bridge_sizes(self) -> BridgeSizes:
        """The two ends of the bridge."""
        encoder, decoder = self.encoder, self.decoder
        finals = encoder.layout.final_sizes
        return BridgeSizes(finals, encoder.output_size, encoder.hidden_size, decoder.hidden_size, decoder.layers)

    @property
    def context_size(self) -> int:
        """The size of what the decoder sees of the source at a position."""
        decoder, encoder = self.decoder, self.encoder
        if decoder.context is Context.every_step and decoder.summary is Summary.last:
            return encoder.layout.final_sizes[-1]
        return encoder.output_size

    @property
    def is_fusible(self) -> bool:
        """Whether all target positions can be computed at once when every input is known."""
        attends = self.decoder.context is Context.attention
        carries = attends and self.attention is not None and self.attention.carries()
        return not self.decoder.feeds_on_attention and not carries

    @property
    def reads_encoder_states(self) -> bool:
        """Whether anything but the final states of the encoder is used."""
        sums_up = self.decoder.context is Context.every_step and self.decoder.summary is not Summary.last
        takes_states = self.bridge is not None and self.bridge.takes_states()
        return self.decoder.context is Context.attention or sums_up or takes_states


def check(config: ModelConfig) -> list[str]:
    """Everything that is wrong with a model section, each as a message that says how to mend it; no tensor is made."""
    config = config.completed()
    found = _names(config) + config.encoder.problems() + config.decoder.problems()
    found += config.initialisation.problems()
    if not found:
        found += stack_problems("model.encoder", config.encoder) + stack_problems("model.decoder", config.decoder)
    if found:
        return found  # the rules between parts speak of sizes, which must be sound first
    assert config.bridge is not None
    found = config.bridge.problems(config.bridge_sizes)
    rules = (
        _problems_of_sight,
        _problems_of_summary,
        _problems_of_attention,
        _problems_of_copying,
        _problems_of_tying,
        _problems_of_embeddings,
    )
    return found + [problem for rule in rules for problem in rule(config)]


def tying_problems(config: ModelConfig, source_vocab: int, target_vocab: int) -> list[str]:
    """What only the data can tell: `tie=all` needs one vocabulary."""
    if config.decoder.tie is not Tie.all or source_vocab == target_vocab:
        return []
    return [
        f"`model.decoder.tie=all` needs one vocabulary for both sides, but the source has {source_vocab} entries and "
        f"the target {target_vocab}. Choose `model.decoder.tie=decoder`."
    ]


def _names(config: ModelConfig) -> list[str]:
    chosen = [("model/cell", "model.cell", config.cell)]
    if config.encoder.cell is not config.cell:
        chosen.append(("model/cell@model.encoder.cell", "model.encoder.cell", config.encoder.cell))
    if config.decoder.cell is not config.cell:
        chosen.append(("model/cell@model.decoder.cell", "model.decoder.cell", config.decoder.cell))
    parts = [("model/attention", "model.attention", config.attention), ("model/bridge", "model.bridge", config.bridge)]
    return [problem for group, key, part in [*chosen, *parts] for problem in own_name(group, key, part)]


def _problems_of_sight(config: ModelConfig) -> list[str]:
    found = []
    assert config.bridge is not None
    if config.decoder.context is Context.initial and config.bridge.leaves_blind():
        found.append(
            "`model/bridge=zero` with `model.decoder.context=initial` leaves the decoder without any sight of the "
            "source. Choose `model/bridge=dense`, another context, or, if this is meant, "
            "`model.bridge.unconditional=true`."
        )
    encoder = config.encoder
    if encoder.norm is Norm.layer and encoder.norm_place is NormPlace.after and not config.reads_encoder_states:
        found.append(
            f"`model.encoder.norm_place=after` ends the encoder in a norm of its states, but with "
            f"`model.decoder.context={config.decoder.context.value}` and this bridge only final states are read. Set "
            f"`model.encoder.norm_place=before` or `model.bridge.source=mean`."
        )
    return found


def _problems_of_summary(config: ModelConfig) -> list[str]:
    """At the last position a backward cell has only begun, and a plain forward layer gives what its cell ends with."""
    encoder = config.encoder
    if config.decoder.context is not Context.every_step or config.decoder.summary is not Summary.top:
        return []
    top = encoder.layout.shapes(encoder.embedding_size)[-1]
    is_normed = encoder.norm is Norm.layer and encoder.norm_place is NormPlace.after
    has_residual = encoder.residual is not Residual.none and not top.is_first
    if top.is_bidirectional:
        return [
            "`model.decoder.summary=top` takes the encoder state at the last position, where the backward cell of "
            f"`model.encoder.direction={encoder.direction.value}` has read one token only. Set "
            "`model.decoder.summary=last`, which has both directions at their ends, or choose mean, max or learned."
        ]
    if is_normed or has_residual or encoder.dropout.output:
        return []
    return [
        "`model.decoder.summary=top` is what `last` is: the last layer of this encoder reads forward only, and nothing "
        "is added to what its cell gives. Set `model.decoder.summary=last`, or choose mean, max or learned."
    ]


def _problems_of_attention(config: ModelConfig) -> list[str]:
    if config.decoder.context is not Context.attention:
        return []
    assert config.attention is not None
    return config.attention.problems(config.decoder.query_size, config.encoder.output_size)


def _problems_of_copying(config: ModelConfig) -> list[str]:
    if config.decoder.copy is Copy.none or not config.encoder.pyramid:
        return []
    return [
        f"`model.decoder.copy={config.decoder.copy.value}` copies the word that an encoder state stands for, but with "
        f"`model.encoder.pyramid={config.encoder.pyramid}` a state stands for several. Set `model.encoder.pyramid=0` "
        f"or `model.decoder.copy=none`."
    ]


def _problems_of_embeddings(config: ModelConfig) -> list[str]:
    """What tied weights leave no room for."""
    decoder, encoder, found = config.decoder, config.encoder, []
    if decoder.embedding.freeze and decoder.tie is not Tie.none:
        found.append(
            f"`model.decoder.embedding.freeze=true` would freeze the output layer too, which "
            f"`model.decoder.tie={decoder.tie.value}` makes one with the embedding. Set `model.decoder.tie=none` or "
            f"`model.decoder.embedding.freeze=false`."
        )
    if decoder.tie is Tie.all and encoder.embedding != EmbeddingConfig():
        path = encoder.embedding.path
        setting = "freeze=true" if path is None else f"path={path}"
        found.append(
            f"`model.encoder.embedding.{setting}` has no embedding of its own to act on: `model.decoder.tie=all` "
            f"shares the target's. Set `model.decoder.embedding.path`, or choose `model.decoder.tie=decoder`."
        )
    return found


def _problems_of_tying(config: ModelConfig) -> list[str]:
    decoder, encoder, found = config.decoder, config.encoder, []
    if decoder.tie is Tie.none:
        return []
    readout = decoder.readout_size(config.context_size)
    if readout != decoder.embedding_size:
        found.append(
            f"`model.decoder.tie={decoder.tie.value}` shares the target embedding with the output layer, which needs "
            f"equal sizes, but the embedding has {decoder.embedding_size} and the readout {readout}. Set "
            f"`model.decoder.readout.size={decoder.embedding_size}` or `model.decoder.embedding_size={readout}`."
        )
    if decoder.tie is Tie.all and encoder.embedding_size != decoder.embedding_size:
        found.append(
            f"`model.decoder.tie=all` shares one embedding, but the source's has {encoder.embedding_size} and the "
            f"target's {decoder.embedding_size}. Set `model.encoder.embedding_size={decoder.embedding_size}` or choose "
            f"`model.decoder.tie=decoder`."
        )
    return found
