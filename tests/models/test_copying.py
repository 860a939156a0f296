"""What a model that copies consists of, costs, and refuses; the laws are in ``laws/test_copying.py``."""

from __future__ import annotations

import pytest
import torch

from seq2seq_lightning.models.attention import MultiHeadAttentionConfig
from seq2seq_lightning.models.cost import Positions, multiply_adds
from seq2seq_lightning.models.decoder_config import Context, Copy, DecoderConfig, ReadoutActivation, ReadoutConfig
from seq2seq_lightning.models.encoder import EncoderConfig
from seq2seq_lightning.models.model_config import ModelConfig, check
from seq2seq_lightning.models.seq2seq import Seq2Seq, build_model
from tests.models.variants import PAD, VOCAB, example

POINTER = Copy.pointer_generator
UNK = 3


def model(copy: Copy, **decoder: object) -> Seq2Seq:
    sizes = {"embedding_size": 4, "hidden_size": 6, "copy": copy} | decoder
    config = ModelConfig(
        encoder=EncoderConfig(embedding_size=4, hidden_size=5),
        decoder=DecoderConfig(**sizes),  # type: ignore[arg-type]
    )
    return build_model(config, VOCAB, VOCAB, PAD, 1, UNK).double()


def test_the_gate_reads_context_state_and_embedding() -> None:
    """A plain readout is [state; context; embedding] itself, 6 + 5 + 4 numbers."""
    readout = ReadoutConfig(embedding=True, activation=ReadoutActivation.none)
    copier, batch = model(POINTER, readout=readout), example()
    found = copier.readouts(batch.source, batch.source_lengths, batch.target_inputs, copy_ids=batch.source)
    gate = copier.decoder.generation_gate
    assert gate is not None and found.gate is not None
    state, context, embedded = found.readout.split([6, 5, 4], dim=2)
    weights = gate.map.weight.squeeze(0)
    expected = context @ weights[:5] + state @ weights[5:11] + embedded @ weights[11:] + gate.map.bias
    torch.testing.assert_close(found.gate, expected, rtol=0, atol=1e-12)


def test_copying_adds_the_gate_and_nothing_else() -> None:
    copier, plain = model(POINTER), model(Copy.none)
    own = dict(copier.named_parameters())
    assert own.keys() - dict(plain.named_parameters()).keys() == {
        "decoder.generation_gate.map.weight",
        "decoder.generation_gate.map.bias",
    }
    for name, values in plain.named_parameters():
        assert torch.equal(values, own[name]), name  # drawn alike, so that the two can be compared
    positions = Positions.of([5, 3], [4, 7])
    more = sum(multiply_adds(copier, positions).values()) - sum(multiply_adds(plain, positions).values())
    assert more == (5 + 6 + 4) * 11
    assert (copier.copies, plain.copies) == (True, False)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            ModelConfig(decoder=DecoderConfig(copy=POINTER, context=Context.every_step)),
            "`model.decoder.copy=pointer_generator` copies what an attention points at, but "
            "`model.decoder.context=every_step` has none. Set `model.decoder.context=attention` or "
            "`model.decoder.copy=none`.",
        ),
        (
            ModelConfig(decoder=DecoderConfig(coverage_loss=1.0, context=Context.initial)),
            "`model.decoder.coverage_loss=1.0` looks at attention weights, but `model.decoder.context=initial` has "
            "none. Set `model.decoder.context=attention` or `model.decoder.coverage_loss=0.0`.",
        ),
        (
            ModelConfig(decoder=DecoderConfig(coverage_loss=-1.0)),
            "`model.decoder.coverage_loss=-1.0` must be at least 0.0 (1.0 is usual).",
        ),
        (
            ModelConfig(encoder=EncoderConfig(layers=2, pyramid=1), decoder=DecoderConfig(copy=POINTER)),
            "`model.decoder.copy=pointer_generator` copies the word that an encoder state stands for, but with "
            "`model.encoder.pyramid=1` a state stands for several. Set `model.encoder.pyramid=0` or "
            "`model.decoder.copy=none`.",
        ),
    ],
)
def test_a_refusal_names_the_key_the_values_and_the_way_out(config: ModelConfig, message: str) -> None:
    assert check(config) == [message]


def test_what_is_meant_is_accepted() -> None:
    assert check(ModelConfig(decoder=DecoderConfig(copy=POINTER, coverage_loss=1.0))) == []
    assert check(ModelConfig(decoder=DecoderConfig(copy=POINTER), attention=MultiHeadAttentionConfig())) == []
