"""The whole model: encoder → bridge → decoder → output layer, wired from one config."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from seq2seq_lightning.aligned import aligned_logits, is_ready
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.models.attention import build_attention
from seq2seq_lightning.models.bridges import build_bridge
from seq2seq_lightning.models.copying import mixed_log_probs
from seq2seq_lightning.models.decoder import Decoder
from seq2seq_lightning.models.decoder_config import Context, Tie
from seq2seq_lightning.models.dropout import Masks
from seq2seq_lightning.models.encoder import Encoder
from seq2seq_lightning.models.feedback import FedBack, Feedback, Manner, Readouts
from seq2seq_lightning.models.initialisation import initialise
from seq2seq_lightning.models.model_config import ModelConfig, check, tying_problems
from seq2seq_lightning.models.own_tokens import find_parallel, find_stepwise
from seq2seq_lightning.models.state import Memory, State, StepOutput
from seq2seq_lightning.randomness import seeded


@dataclass(frozen=True)
class Begun:
    """A target about to be read: its sources read, its dropout drawn, so that several passes share both."""

    target_inputs: Tensor  # (batch, target_time), bos y1 … yn
    memory: Memory
    state: State
    masks: Masks


class Seq2Seq(nn.Module):
    """An encoder-decoder. It holds nothing about a sentence between calls.

    One that copies writes words beyond the target vocabulary, and reads them as ``unk_id``.
    """

    def __init__(
        self, config: ModelConfig, source_vocab: int, target_vocab: int, pad_id: int, unk_id: int | None = None
    ) -> None:
        super().__init__()
        config = config.completed()
        encoder, decoder = config.encoder, config.decoder
        assert config.bridge is not None
        self.encoder = Encoder(encoder, source_vocab, pad_id)
        attention = None
        if decoder.context is Context.attention:
            assert config.attention is not None
            attention = build_attention(config.attention, decoder.query_size, encoder.output_size)
        self.decoder = Decoder(decoder, attention, target_vocab, config.context_size, pad_id, config.is_fusible)
        self.bridge = build_bridge(config.bridge, config.bridge_sizes, self.decoder.stack.bridged)
        self.output_layer = nn.Linear(self.decoder.readout_size, target_vocab)
        self.unk_id, self.coverage_loss = unk_id, decoder.coverage_loss
        assert unk_id is not None or not self.copies, "a model that copies needs the id of unknown words"
        if decoder.tie is not Tie.none:
            self.output_layer.weight = self.decoder.embedding.weight
        if decoder.tie is Tie.all:
            self.encoder.embedding.weight = self.decoder.embedding.weight

    @property
    def pad_id(self) -> int:
        """What fills a target up to the width of its batch."""
        assert self.decoder.embedding.padding_idx is not None
        return self.decoder.embedding.padding_idx

    @property
    def vocab(self) -> int:
        """The words it generates: the size of the target vocabulary."""
        return self.output_layer.out_features

    @property
    def copies(self) -> bool:
        """Whether it can write words of the source that its vocabulary lacks; then it needs their ids."""
        return self.decoder.generation_gate is not None

    def start(self, source: Tensor, source_lengths: Tensor, copy_ids: Tensor | None = None) -> tuple[Memory, State]:
        """Read the sources. source: (batch, source_time) ids; source_lengths: (batch,) int64 on the CPU.

        copy_ids: (batch, source_time), for a model that copies: each source word as an id of the target.
        """
        assert copy_ids is not None or not self.copies, "a model that copies needs copy_ids"
        encoded = self.encoder(source, source_lengths)
        memory = replace(self.decoder.remember(encoded), copy_ids=copy_ids if self.copies else None)
        return memory, self.decoder.start(self.bridge(encoded, self.decoder.stack), memory)

    def attended_lengths(self, source_lengths: Tensor) -> Tensor:
        """How many encoder states there are of each source, (batch,) on the CPU: fewer with a pyramid."""
        return self.encoder.stack.layout.shortened(source_lengths)

    def readouts(
        self,
        source: Tensor,
        source_lengths: Tensor,
        target_inputs: Tensor,
        gold_mask: Tensor | None = None,
        fed_back: FedBack | None = None,
        copy_ids: Tensor | None = None,
        manner: Manner | None = None,
    ) -> Readouts:
        """The readout at every target position; see `begin` and `unroll`."""
        return self.unroll(self.begin(source, source_lengths, target_inputs, copy_ids), gold_mask, fed_back, manner)

    def begin(
        self, source: Tensor, source_lengths: Tensor, target_inputs: Tensor, copy_ids: Tensor | None = None
    ) -> Begun:
        """Read the sources and draw the dropout of the target. target_inputs: (batch, target_time), bos y1 … yn."""
        memory, state = self.start(source, source_lengths, copy_ids)
        return self.about(target_inputs, memory, state)

    def unroll(
        self,
        begun: Begun,
        gold_mask: Tensor | None = None,
        fed_back: FedBack | None = None,
        manner: Manner | None = None,
    ) -> Readouts:
        """The readout at every target position, each fed with the gold token or with the model's own previous one.

        gold_mask: (batch, target_time) bool, False where `fed_back` chooses from the scores of the position before
        (never the first); None feeds gold everywhere. Where the architecture permits it all positions are computed at
        once: of the gold tokens, or of own ones that were found before without gradient.
        """
        manner, decoder = manner or Manner(), self.decoder
        tokens, state, memory, masks = begun.target_inputs, begun.state, begun.memory, begun.masks
        feedback = None if gold_mask is None else self._feedback(memory, gold_mask, fed_back, manner)
        if not decoder.is_fusible or (feedback is not None and feedback.mixes):
            assert not manner.parallel, "needs a decoder that carries nothing but its state, and tokens"
            return decoder.unroll_stepwise(tokens, state, memory, feedback, masks, manner.truncate)
        passes = 0
        if feedback is not None:
            given = (decoder, tokens, state, memory, masks, feedback)
            if manner.parallel:
                tokens, passes = find_parallel(*given, manner.extra_passes)
            else:
                tokens, passes = find_stepwise(*given), 1
        readouts = decoder.unroll(tokens, state, memory, masks, manner.truncate)
        return replace(readouts, passes=passes + 1)

    def decode(self, target_inputs: Tensor, state: State, memory: Memory) -> Readouts:
        """The readouts of given tokens over sources read before: state and memory with one entry per row."""
        return self.unroll(self.about(target_inputs, memory, state))

    def about(self, target_inputs: Tensor, memory: Memory, state: State) -> Begun:
        """A target about to be read, whose sources have been; draws its dropout."""
        batch, time = target_inputs.shape
        return Begun(self.known(target_inputs), memory, state, self.decoder.draw_masks(batch, time, state))

    def step(self, tokens: Tensor, state: State, memory: Memory) -> StepOutput:
        """The step protocol of search. tokens: (rows,), rows = sentences × width, sentence-major."""
        found, state = self.decoder.step(self.known(tokens), state, memory)
        if not self.copies:
            return StepOutput(self._log_probs(found.readout), found.attention, state)
        log_probs = self.scores(replace(found, copy_ids=memory.copy_ids_of(len(tokens))))
        return StepOutput(log_probs, found.attention, state)

    def scores(self, found: Readouts) -> Tensor:
        """What a token is chosen by: logits (n, vocab), or, without gradient, of a model that copies log-probabilities
        of all it can write (n, vocab + source_time). found: of n places, as ``Readouts.at`` gives them.
        """
        if not self.copies:
            return self._logits(found.readout)[:, : self.vocab]
        assert found.gate is not None and found.attention is not None and found.copy_ids is not None
        return mixed_log_probs(self._log_probs(found.readout), found.gate, found.attention, found.copy_ids)

    def known(self, tokens: Tensor) -> Tensor:
        """Tokens as they can be embedded: those beyond the vocabulary are unknown words."""
        if not self.copies:
            return tokens
        assert self.unk_id is not None
        return tokens.masked_fill(tokens >= self.vocab, self.unk_id)

    def _log_probs(self, readout: Tensor) -> Tensor:
        """readout: (rows, size). Returns (rows, vocab), in float32 or better."""
        logits = self._logits(readout)
        wide = logits if logits.dtype is torch.float64 else logits.float()
        return torch.log_softmax(wide, dim=-1)[:, : self.vocab]

    def _logits(self, readout: Tensor) -> Tensor:
        """readout: (rows, size). Returns (rows, vocab), or in aligned rows with -inf behind the vocabulary."""
        layer = self.output_layer
        if torch.is_grad_enabled() or not is_ready(readout, layer.weight):
            return layer(readout)
        return aligned_logits(readout, layer.weight, layer.bias)

    def _feedback(self, memory: Memory, gold_mask: Tensor, fed_back: FedBack | None, manner: Manner) -> Feedback | None:
        """None where the mask is gold throughout."""

        def choose(said: Readouts, rows: Tensor, position: int | Tensor) -> Tensor:
            assert fed_back is not None, "a mask that is not gold throughout needs a source of tokens"
            ids = None if memory.copy_ids is None else memory.copy_ids[rows]
            chosen = fed_back(self.scores(replace(said, copy_ids=ids)), rows, position)
            return chosen if manner.mixes else self.known(chosen)

        return Feedback.where(~gold_mask, choose, manner.mixes)


def build_model(
    config: ModelConfig, source_vocab: int, target_vocab: int, pad_id: int, seed: int, unk_id: int | None = None
) -> Seq2Seq:
    """The model that a config describes, its weights drawn from the seed; refused with all problems at once.

    unk_id: of the target, which a model that copies reads for words beyond its vocabulary.
    """
    config = config.completed()
    problems = check(config) + tying_problems(config, source_vocab, target_vocab)
    if problems:
        raise ConfigurationError("\n".join(problems))
    with seeded(seed, "init"):  # so that building leaves torch's global generator as it was
        model = Seq2Seq(config, source_vocab, target_vocab, pad_id, unk_id)
    initialise(model, config.initialisation, seed)
    return model
