from __future__ import annotations

import pytest
import torch

from seq2seq_lightning.decoding import BeamConfig, DecodingConfig, GreedyConfig, search
from seq2seq_lightning.decoding.protocol import Hypothesis, SpecialIds
from seq2seq_lightning.models.cells.gru import GRUConfig
from seq2seq_lightning.models.cells.mlstm import MLSTMConfig
from seq2seq_lightning.models.decoder_config import DecoderConfig
from seq2seq_lightning.models.encoder import Encoder, EncoderConfig, EncoderDropout
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.models.stack import Direction
from tests.models.variants import BOS, EOS, PAD, VOCAB, Example, build, close, example


def made(**options: object) -> Encoder:
    torch.manual_seed(0)
    config = EncoderConfig(cell=GRUConfig(), embedding_size=4, hidden_size=3, **options)  # type: ignore[arg-type]
    return Encoder(config, VOCAB, PAD).double()


def test_final_states_are_where_each_direction_stopped() -> None:
    batch = example()
    encoded = made(direction=Direction.bidirectional)(batch.source, batch.source_lengths)
    final = encoded.final_state[0]["hidden"]
    for row, length in enumerate(batch.source_lengths.tolist()):
        close(final[row, :3], encoded.states[row, length - 1, :3])
        close(final[row, 3:], encoded.states[row, 0, 3:])


def test_the_mask_is_true_at_real_positions_and_the_mean_is_over_them() -> None:
    batch = example()
    encoded = made()(batch.source, batch.source_lengths)
    assert encoded.mask.sum(1).tolist() == batch.source_lengths.tolist()
    assert torch.equal(encoded.mask, batch.source != PAD)
    for row, length in enumerate(batch.source_lengths.tolist()):
        close(encoded.mean[row], encoded.states[row, :length].mean(0))


def test_rows_are_packed_only_where_lengths_differ() -> None:
    encoder, batch, seen = made(), example(), []
    encoder.stack.layers[0].cell.kernel.register_forward_pre_hook(lambda _, inputs: seen.append(type(inputs[0])))
    encoder(batch.source, batch.source_lengths)
    encoder(batch.source, torch.full((3,), 5))
    encoder(batch.source, torch.full((3,), 4))  # equal, but shorter than the tensor
    assert [kind is torch.Tensor for kind in seen] == [False, True, False]


def test_each_place_has_its_own_dropout() -> None:
    batch = example()
    for place in ("embedding", "layers", "output", "recurrent", "zoneout", "weight"):
        encoder = made(layers=2, dropout=EncoderDropout(**{place: 0.5}))
        once, again = (encoder(batch.source, batch.source_lengths).states for _ in range(2))
        assert not torch.equal(once, again), place
        encoder.eval()
        once, again = (encoder(batch.source, batch.source_lengths).states for _ in range(2))
        assert torch.equal(once, again), place


def test_variational_dropout_drops_the_same_units_at_every_position() -> None:
    batch = example()
    encoder = made(dropout=EncoderDropout(output=0.5, variational=True))
    plain = made()(batch.source, batch.source_lengths).states
    ratio = encoder(batch.source, batch.source_lengths).states[0] / plain[0]
    assert set(ratio.detach().round(decimals=9).unique().tolist()) == {0.0, 2.0}
    close(ratio, ratio[:1].expand_as(ratio))


def test_a_pyramid_gives_fewer_states_and_their_mask() -> None:
    batch = example()
    encoded = made(layers=3, pyramid=2)(batch.source, batch.source_lengths)
    assert encoded.states.shape == (3, 2, 3)
    shorter = [-(-length // 4) for length in batch.source_lengths.tolist()]
    assert encoded.mask.sum(1).tolist() == shorter
    for row, length in enumerate(shorter):
        close(encoded.final_state[-1]["hidden"][row], encoded.states[row, length - 1])


def test_embeddings_can_be_projected_before_they_are_read() -> None:
    batch, encoder = example(), made(input_projection=7)
    assert encoder.input_projection is not None
    inputs = encoder.input_projection(encoder.embedding(batch.source))
    assert inputs.shape == (3, 5, 7)
    states, _ = encoder.stack.unroll(inputs, None, batch.source_lengths)
    real = batch.source != PAD
    close(encoder(batch.source, batch.source_lengths).states[real], states[real])


def test_the_maximum_is_over_real_positions() -> None:
    batch = example()
    encoded = made()(batch.source, batch.source_lengths)
    for row, length in enumerate(batch.source_lengths.tolist()):
        close(encoded.maximum[row], encoded.states[row, :length].amax(0))


def test_an_encoder_hands_over_vectors_only() -> None:
    batch = example()
    config = EncoderConfig(cell=MLSTMConfig(), embedding_size=4, hidden_size=3)
    encoded = Encoder(config, VOCAB, PAD)(batch.source, batch.source_lengths)
    assert [list(state) for state in encoded.final_state] == [["hidden"]]


@pytest.mark.parametrize(
    "decoding", [GreedyConfig(max_length=9), BeamConfig(max_length=9, beam_width=2, beta=0.2)], ids=["greedy", "beam"]
)
def test_search_weighs_the_states_that_a_pyramid_leaves(decoding: DecodingConfig) -> None:
    encoder = EncoderConfig(embedding_size=6, hidden_size=6, layers=2, pyramid=1)
    model, batch = (
        build(ModelConfig(encoder=encoder, decoder=DecoderConfig(embedding_size=6, hidden_size=6))),
        example(),
    )

    def found(batch: Example) -> list[Hypothesis]:
        memory, state = model.start(batch.source, batch.source_lengths)
        attended = model.attended_lengths(batch.source_lengths)
        parts = model, state, memory, batch.source_lengths, decoding, SpecialIds(PAD, BOS, EOS)
        return [best[0] for best in search(*parts, with_attention=True, attended_lengths=attended)]

    for index, (length, together) in enumerate(zip(batch.source_lengths.tolist(), found(batch), strict=True)):
        assert together.attention is not None
        assert {len(weights) for weights in together.attention} == {(length + 1) // 2}
        (alone,) = found(batch.row(index))
        assert together.tokens == alone.tokens
        assert together.score == pytest.approx(alone.score, abs=1e-9)
        assert together.score > -1e3
