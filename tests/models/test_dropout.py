from __future__ import annotations

import pytest
import torch

from seq2seq_lightning.models.cells import LSTMConfig, SLSTMConfig
from seq2seq_lightning.models.cells.cell import CellConfig
from seq2seq_lightning.models.decoder_config import Context, DecoderConfig, DecoderDropout, Query
from seq2seq_lightning.models.dropout import LayerNoise, Masks, Noise, draw_mask, drop
from seq2seq_lightning.models.encoder import EncoderConfig
from seq2seq_lightning.models.model_config import ModelConfig
from tests.models.variants import build, close, example


def test_a_mask_keeps_the_mean_and_drops_its_share() -> None:
    torch.manual_seed(0)
    mask = draw_mask((200, 500), 0.3, True, torch.zeros(1, dtype=torch.float64))
    assert mask is not None
    assert mask.dtype is torch.float64
    assert set(mask.unique().tolist()) == {0.0, 1 / 0.7}
    assert abs((mask == 0).double().mean().item() - 0.3) < 0.005


def test_nothing_is_drawn_where_nothing_is_dropped() -> None:
    like, before = torch.zeros(1), torch.get_rng_state()
    assert draw_mask((2, 3), 0.3, False, like) is None
    assert draw_mask((2, 3), 0.0, True, like) is None
    assert torch.equal(torch.get_rng_state(), before)
    assert drop(like, None) is like


def test_a_mask_that_positions_share_is_given_to_each() -> None:
    masks = Masks(torch.ones(2, 1, 3), [LayerNoise()], torch.arange(8.0).view(2, 4, 1), None)
    positions = masks.positions(4)
    assert len(positions) == 4
    assert all(torch.equal(at.embedding, torch.ones(2, 3)) for at in positions)  # type: ignore[arg-type]
    assert [at.context.tolist() for at in positions] == [[[0], [4]], [[1], [5]], [[2], [6]], [[3], [7]]]  # type: ignore[union-attr]


def test_the_noise_of_a_position_is_that_of_the_sequence_there() -> None:
    keep, hidden = torch.rand(2, 4, 3) < 0.5, torch.ones(2, 3)
    whole = Noise(hidden, {"weight": torch.ones(3, 3)}, {"hidden": keep, "cell": 0.25})
    for position, at in enumerate(whole.positions(4)):
        assert at.hidden is hidden and at.weights is whole.weights
        assert torch.equal(at.keep["hidden"], keep[:, position : position + 1])  # type: ignore[arg-type]
        assert at.keep["cell"] == 0.25


@pytest.mark.parametrize("cell", [LSTMConfig(), SLSTMConfig()], ids=str)
@pytest.mark.parametrize("query", Query, ids=str)
def test_search_takes_the_mean_of_zoneout_as_a_fused_pass_does(cell: CellConfig, query: Query) -> None:
    dropout = DecoderDropout(zoneout=0.3, recurrent=0.3, weight=0.3, variational=True)
    decoder = DecoderConfig(embedding_size=6, hidden_size=6, context=Context.attention, query=query, dropout=dropout)
    encoder = EncoderConfig(embedding_size=6, hidden_size=6)
    model, batch = build(ModelConfig(cell=cell, encoder=encoder, decoder=decoder)).eval(), example()
    memory, state = model.start(batch.source, batch.source_lengths)
    found = []
    for tokens in batch.target_inputs.unbind(1):
        out = model.step(tokens, state, memory)
        found.append(out.log_probs)
        state = out.state
    readout = model.readouts(batch.source, batch.source_lengths, batch.target_inputs).readout
    close(torch.stack(found, 1), torch.log_softmax(model.output_layer(readout), -1))
    model.train()
    assert not torch.allclose(model.readouts(batch.source, batch.source_lengths, batch.target_inputs).readout, readout)
