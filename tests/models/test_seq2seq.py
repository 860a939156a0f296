"""Architectures published with their parameter counts, and what building refuses."""

from __future__ import annotations

import pytest
import torch

from seq2seq_lightning.aligned import ALIGNED_FROM
from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.models.bridges import CopyBridgeConfig, DenseBridgeConfig
from seq2seq_lightning.models.bridges.bridge import BridgeSource
from seq2seq_lightning.models.cells import CellConfig, GRUConfig, LSTMConfig
from seq2seq_lightning.models.decoder_config import (
    Context,
    DecoderConfig,
    DecoderDropout,
    Query,
    ReadoutActivation,
    ReadoutConfig,
    Tie,
)
from seq2seq_lightning.models.encoder import EncoderConfig, EncoderDropout
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.models.seq2seq import Seq2Seq, build_model
from seq2seq_lightning.models.stack import Direction
from seq2seq_lightning.teacher_forcing.fed_back import ArgMax, Sample
from tests.models.variants import BOS, PAD, VOCAB, example

PLAIN = ReadoutConfig(activation=ReadoutActivation.none)
JOINED = ReadoutConfig(embedding=True, activation=ReadoutActivation.none)


def count(config: ModelConfig) -> int:
    """Parameters with the vocabularies of the published models, without memory for a tensor."""
    with torch.device("meta"):
        model = Seq2Seq(config.completed(), 7853, 5893, PAD)
    return sum(values.numel() for values in model.parameters())


def sides(layers: int = 1, **decoder: object) -> dict[str, object]:
    return {
        "encoder": EncoderConfig(embedding_size=256, hidden_size=512, layers=layers),
        "decoder": DecoderConfig(embedding_size=256, hidden_size=512, layers=layers, **decoder),  # type: ignore[arg-type]
    }


def test_sutskever_lstm_has_the_published_13_898_501_parameters() -> None:
    bridge = CopyBridgeConfig(source=BridgeSource.last)
    parts = sides(layers=2, context=Context.initial, readout=PLAIN)
    assert count(ModelConfig(cell=LSTMConfig(), bridge=bridge, **parts)) == 13_898_501  # type: ignore[arg-type]


def test_cho_gru_has_the_published_14_219_781_parameters() -> None:
    parts = sides(context=Context.every_step, readout=JOINED)
    assert count(ModelConfig(cell=GRUConfig(), bridge=CopyBridgeConfig(), **parts)) == 14_219_781  # type: ignore[arg-type]


def test_bahdanau_gru_has_the_published_20_518_405_parameters() -> None:
    parts = sides(context=Context.attention, query=Query.previous, readout=JOINED)
    parts["encoder"].direction = Direction.bidirectional  # type: ignore[attr-defined]
    assert count(ModelConfig(cell=GRUConfig(), bridge=DenseBridgeConfig(), **parts)) == 20_518_405  # type: ignore[arg-type]


def test_decoder_layers_add_the_parameters_of_britz_et_al() -> None:
    """Their GRU of 512 on 512 inputs: 3 · 512 · (512 + 512) + 3 · 512 = 1.574M; torch keeps a second bias of 1,536."""

    def depth(layers: int) -> int:
        decoder = DecoderConfig(hidden_size=512, layers=layers)
        encoder = EncoderConfig(hidden_size=512)
        return count(ModelConfig(encoder=encoder, decoder=decoder, bridge=CopyBridgeConfig()))

    assert depth(2) - depth(1) == 1_574_400 + 1_536
    assert depth(4) - depth(2) == 2 * (1_574_400 + 1_536)
    assert abs((depth(2) - depth(1)) / 1e6 - (66.32 - 64.75)) < 0.01  # printed to two places
    assert abs((depth(4) - depth(2)) / 1e6 - (69.47 - 66.32)) < 0.01


@pytest.mark.parametrize("cell", [GRUConfig(), LSTMConfig()], ids=str)
@pytest.mark.parametrize("direction", Direction, ids=str)
@pytest.mark.parametrize("layers", [2, 3])
def test_the_default_model_takes_any_encoder(cell: CellConfig, direction: Direction, layers: int) -> None:
    config = ModelConfig(cell=cell, encoder=EncoderConfig(hidden_size=8, direction=direction, layers=layers))
    batch = example()
    found = build_model(config, VOCAB, VOCAB, PAD, 1).readouts(batch.source, batch.source_lengths, batch.target_inputs)
    assert found.readout.shape == (3, 4, 256)


def test_a_side_may_have_a_cell_of_its_own() -> None:
    config = ModelConfig(cell=LSTMConfig(), decoder=DecoderConfig(cell=GRUConfig())).completed()
    assert (type(config.encoder.cell), type(config.decoder.cell)) == (LSTMConfig, GRUConfig)


def test_all_problems_come_at_once() -> None:
    config = ModelConfig(encoder=EncoderConfig(layers=0), decoder=DecoderConfig(hidden_size=-1))
    with pytest.raises(ConfigurationError) as raised:
        build_model(config, VOCAB, VOCAB, PAD, 1)
    assert str(raised.value) == (
        "`model.encoder.layers=0` must be at least 1.\n`model.decoder.hidden_size=-1` must be at least 1."
    )


def test_one_embedding_for_all_needs_one_vocabulary() -> None:
    decoder = DecoderConfig(tie=Tie.all, readout=ReadoutConfig(size=128))
    with pytest.raises(
        ConfigurationError, match=r"the source has 12 entries and the target 11.*`model.decoder.tie=dec"
    ):
        build_model(ModelConfig(decoder=decoder), 12, 11, PAD, 1)
    model = build_model(ModelConfig(decoder=decoder), 11, 11, PAD, 1)
    assert model.output_layer.weight is model.decoder.embedding.weight is model.encoder.embedding.weight


def test_log_probs_are_at_least_float32_and_normalised() -> None:
    model, batch = build_model(ModelConfig(), VOCAB, VOCAB, PAD, 1).bfloat16(), example()
    memory, state = model.start(batch.source, batch.source_lengths)
    found = model.step(torch.full((3,), BOS), state, memory).log_probs
    assert found.dtype is torch.float32
    torch.testing.assert_close(found.exp().sum(1), torch.ones(3))


def test_a_step_keeps_the_mode_and_evaluation_drops_nothing() -> None:
    config = ModelConfig(
        encoder=EncoderConfig(dropout=EncoderDropout(0.5, 0.0, 0.5)),
        decoder=DecoderConfig(dropout=DecoderDropout(0.5, 0.0, 0.5, 0.5)),
    )
    model, batch = build_model(config, VOCAB, VOCAB, PAD, 1), example()

    def once() -> torch.Tensor:
        memory, state = model.start(batch.source, batch.source_lengths)
        return model.step(batch.target_inputs[:, 1], state, memory).log_probs

    assert not torch.equal(once(), once())
    assert model.training
    model.eval()
    assert torch.equal(once(), once())
    assert not model.training


@pytest.mark.parametrize("fed_back", [ArgMax(), Sample(torch.full((3, 4), 0.5, dtype=torch.float64))])
def test_a_vocabulary_of_odd_size_is_searched_and_fed_back_as_if_its_logits_were_plain(
    fed_back: ArgMax | Sample,
) -> None:
    """Without gradients logits stand in aligned rows; with them they come from the output layer itself."""
    model, batch = build_model(ModelConfig(), VOCAB, ALIGNED_FROM + 3, PAD, 1).double().eval(), example()
    memory, state = model.start(batch.source, batch.source_lengths)
    tokens = batch.target_inputs[:, 0]
    plain = model.step(tokens, state, memory).log_probs
    with torch.inference_mode():
        aligned = model.step(tokens, state, memory).log_probs
    assert aligned.shape == plain.shape == (3, ALIGNED_FROM + 3)
    torch.testing.assert_close(aligned, plain.detach(), rtol=0, atol=1e-9)
    torch.testing.assert_close(aligned.exp().sum(1), torch.ones(3, dtype=torch.float64))
    gold = torch.zeros_like(batch.target_inputs, dtype=torch.bool)
    gold[:, 0] = True
    found = model.readouts(batch.source, batch.source_lengths, batch.target_inputs, gold, fed_back)
    rows = torch.arange(3)
    choices = [fed_back(model.output_layer(found.readout[:, place]), rows, place + 1) for place in range(3)]
    assert torch.equal(found.fed_tokens[:, 1:], torch.stack(choices, 1))
