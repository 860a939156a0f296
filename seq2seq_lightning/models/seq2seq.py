"""The whole model: encoder → bridge → decoder → output layer, wired from one config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from seq2seq_lightning.aligned import aligned_logits
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.models.attention import build_attention
from seq2seq_lightning.models.bridges import build_bridge
from seq2seq_lightning.models.copying import mixed_log_probs
from seq2seq_lightning.models.decoder import Decoder, Feedback, Readouts
from seq2seq_lightning.models.decoder_config import Context, Tie
from seq2seq_lightning.models.encoder import Encoder
from seq2seq_lightning.models.initialisation import initialise
from seq2seq_lightning.models.model_config import ModelConfig, check, tying_problems
from seq2seq_lightning.models.state import Memory, State, StepOutput
from seq2seq_lightning.randomness import seeded

FedBack = Callable[[Tensor, int], Tensor]
"""(logits (batch, vocab), position) → the tokens (batch,) to feed at that position."""


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
            attention = build_attention(config.attention, decoder.hidden_size, encoder.output_size)
        self.decoder = Decoder(decoder, attention, target_vocab, encoder.output_size, pad_id, config.is_fusible)
        self.bridge = build_bridge(config.bridge, config.bridge_sizes, self.decoder.stack.bridged)
        self.output_layer = nn.Linear(self.decoder.readout_size, target_vocab)
        self.unk_id, self.coverage_loss = unk_id, decoder.coverage_loss
        assert unk_id is not None or not self.copies, "a model that copies needs the id of unknown words"
        if decoder.tie is not Tie.none:
            self.output_layer.weight = self.decoder.embedding.weight
        if decoder.tie is Tie.all:
            self.encoder.embedding.weight = self.decoder.embedding.weight

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

    def readouts(
        self,
        source: Tensor,
        source_lengths: Tensor,
        target_inputs: Tensor,
        gold_mask: Tensor | None = None,
        fed_back: FedBack | None = None,
        copy_ids: Tensor | None = None,
    ) -> Readouts:
        """The readout at every target position, each fed with the gold token or with the model's own previous one.

        target_inputs: (batch, target_time), bos y1 … yn; gold_mask: (batch, target_time) bool, False where `fed_back`
        chooses from the logits of the position before (never the first); None feeds gold everywhere. Without an own
        token the positions are computed at once where the architecture permits it.
        """
        memory, state = self.start(source, source_lengths, copy_ids)
        feedback = None if gold_mask is None else self._feedback(target_inputs, memory, gold_mask, fed_back)
        return self.decode(target_inputs, state, memory, feedback)

    def decode(self, target_inputs: Tensor, state: State, memory: Memory, feedback: Feedback | None = None) -> Readouts:
        """The readouts of sources read before: state and memory with one entry per row of target_inputs."""
        target_inputs = self._known(target_inputs)
        if feedback is None and self.decoder.is_fusible:
            return self.decoder.unroll(target_inputs, state, memory)
        return self.decoder.unroll_stepwise(target_inputs, state, memory, feedback)

    def step(self, tokens: Tensor, state: State, memory: Memory) -> StepOutput:
        """The step protocol of search. tokens: (rows,), rows = sentences × width, sentence-major."""
        found, state = self.decoder.step(self._known(tokens), state, memory)
        log_probs = self._mixed(found, memory) if self.copies else self._log_probs(found.readout)
        return StepOutput(log_probs, found.attention, state)

    def scores(self, found: Readouts, memory: Memory) -> Tensor:
        """What a token is chosen by after a position: logits (rows, vocab), without gradient where they are mixed.

        A model that copies gives log-probabilities (rows, vocab + source_time). found: of rows, as of a step, which
        are sentences × width, sentence-major; memory: of the sentences.
        """
        return self._mixed(found, memory) if self.copies else self._logits(found.readout)[:, : self.vocab]

    def _mixed(self, found: Readouts, memory: Memory) -> Tensor:
        """Log-probabilities of generating or copying: (rows, vocab + source_time)."""
        log_probs = self._log_probs(found.readout)
        assert found.gate is not None and found.attention is not None and memory.copy_ids is not None
        width = len(log_probs) // len(memory.copy_ids)
        return mixed_log_probs(log_probs, found.gate, found.attention, memory.copy_ids.repeat_interleave(width, 0))

    def _known(self, tokens: Tensor) -> Tensor:
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
        if torch.is_grad_enabled() or torch.is_autocast_enabled(readout.device.type):
            return layer(readout)
        return aligned_logits(readout, layer.weight, layer.bias)

    def _feedback(
        self, target_inputs: Tensor, memory: Memory, gold_mask: Tensor, fed_back: FedBack | None
    ) -> Feedback | None:
        """None where the mask is gold throughout; this is the one place where the host waits for the mask."""
        at = (~gold_mask).any(dim=0).tolist()
        if not any(at):
            return None
        assert fed_back is not None, "a mask that is not gold throughout needs a source of tokens"
        assert not at[0], "the first position feeds bos"
        choose = fed_back

        def tokens(before: Readouts, position: int) -> Tensor:
            chosen = choose(self.scores(before, memory), position)
            return self._known(torch.where(gold_mask[:, position], target_inputs[:, position], chosen))

        return Feedback(at, tokens)


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
