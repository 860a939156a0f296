"""The whole model: encoder → bridge → decoder → output layer, wired from one config."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from seq2seq_lightning.aligned import aligned_logits
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.models.attention import build_attention
from seq2seq_lightning.models.bridges import build_bridge
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
    """An encoder-decoder. It holds nothing about a sentence between calls."""

    def __init__(self, config: ModelConfig, source_vocab: int, target_vocab: int, pad_id: int) -> None:
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
        if decoder.tie is not Tie.none:
            self.output_layer.weight = self.decoder.embedding.weight
        if decoder.tie is Tie.all:
            self.encoder.embedding.weight = self.decoder.embedding.weight

    def start(self, source: Tensor, source_lengths: Tensor) -> tuple[Memory, State]:
        """Read the sources. source: (batch, source_time) ids; source_lengths: (batch,) int64 on the CPU."""
        encoded = self.encoder(source, source_lengths)
        memory = self.decoder.remember(encoded)
        return memory, self.decoder.start(self.bridge(encoded, self.decoder.stack), memory)

    def readouts(
        self,
        source: Tensor,
        source_lengths: Tensor,
        target_inputs: Tensor,
        gold_mask: Tensor | None = None,
        fed_back: FedBack | None = None,
    ) -> Readouts:
        """The readout at every target position, each fed with the gold token or with the model's own previous one.

        target_inputs: (batch, target_time), bos y1 … yn; gold_mask: (batch, target_time) bool, False where `fed_back`
        chooses from the logits of the position before (never the first); None feeds gold everywhere. Without an own
        token the positions are computed at once where the architecture permits it.
        """
        memory, state = self.start(source, source_lengths)
        feedback = None if gold_mask is None else self._feedback(target_inputs, gold_mask, fed_back)
        return self.decode(target_inputs, state, memory, feedback)

    def decode(self, target_inputs: Tensor, state: State, memory: Memory, feedback: Feedback | None = None) -> Readouts:
        """The readouts of sources read before: state and memory with one entry per row of target_inputs."""
        if feedback is None and self.decoder.is_fusible:
            return self.decoder.unroll(target_inputs, state, memory)
        return self.decoder.unroll_stepwise(target_inputs, state, memory, feedback)

    def step(self, tokens: Tensor, state: State, memory: Memory) -> StepOutput:
        """The step protocol of search. tokens: (rows,), rows = sentences × width, sentence-major."""
        readout, weights, state = self.decoder.step(tokens, state, memory)
        logits = self._logits(readout)
        wide = logits if logits.dtype is torch.float64 else logits.float()
        log_probs = torch.log_softmax(wide, dim=-1)
        return StepOutput(log_probs[:, : self.output_layer.out_features], weights, state)

    def _logits(self, readout: Tensor) -> Tensor:
        """readout: (rows, size). Returns (rows, vocab), or in aligned rows with -inf behind the vocabulary."""
        layer = self.output_layer
        if torch.is_grad_enabled() or torch.is_autocast_enabled(readout.device.type):
            return layer(readout)
        return aligned_logits(readout, layer.weight, layer.bias)

    def _feedback(self, target_inputs: Tensor, gold_mask: Tensor, fed_back: FedBack | None) -> Feedback | None:
        """None where the mask is gold throughout; this is the one place where the host waits for the mask."""
        at = (~gold_mask).any(dim=0).tolist()
        if not any(at):
            return None
        assert fed_back is not None, "a mask that is not gold throughout needs a source of tokens"
        assert not at[0], "the first position feeds bos"
        choose = fed_back

        def tokens(readout: Tensor, position: int) -> Tensor:
            chosen = choose(self._logits(readout)[:, : self.output_layer.out_features], position)
            return torch.where(gold_mask[:, position], target_inputs[:, position], chosen)

        return Feedback(at, tokens)


def build_model(config: ModelConfig, source_vocab: int, target_vocab: int, pad_id: int, seed: int) -> Seq2Seq:
    """The model that a config describes, its weights drawn from the seed; refused with all problems at once."""
    config = config.completed()
    problems = check(config) + tying_problems(config, source_vocab, target_vocab)
    if problems:
        raise ConfigurationError("\n".join(problems))
    with seeded(seed, "init"):  # so that building leaves torch's global generator as it was
        model = Seq2Seq(config, source_vocab, target_vocab, pad_id)
    initialise(model, config.initialisation, seed)
    return model
