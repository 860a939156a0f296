"""The published decoders, written out by hand from the weights of ours."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from seq2seq_lightning.models.attention import ATTENTIONS, AttentionConfig
from seq2seq_lightning.models.cells import GRUConfig
from seq2seq_lightning.models.cells.cell import Cell
from seq2seq_lightning.models.decoder_config import (
    Context,
    DecoderConfig,
    DecoderDropout,
    Query,
    ReadoutActivation,
    ReadoutConfig,
    Summary,
)
from seq2seq_lightning.models.encoder import EncoderConfig
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.models.positions import Part
from seq2seq_lightning.models.seq2seq import Seq2Seq, build_model
from seq2seq_lightning.models.stack import Norm, NormPlace, Residual
from tests.models.variants import PAD, VOCAB, close, example, gradients

JOINED = ReadoutConfig(embedding=True, activation=ReadoutActivation.none)
BATCH = example()


def build(**decoder: Any) -> Seq2Seq:
    config = ModelConfig(
        encoder=EncoderConfig(embedding_size=3, hidden_size=5),
        decoder=DecoderConfig(cell=GRUConfig(), embedding_size=4, hidden_size=6, layers=2, **decoder),
    )
    return build_model(config, VOCAB, VOCAB, PAD, 1).double()


def readout(model: Seq2Seq) -> Tensor:
    return model.readouts(BATCH.source, BATCH.source_lengths, BATCH.target_inputs).readout


def move(ours: Cell, inputs: Tensor, state: Tensor) -> Tensor:
    """One cell moved by one position, by torch's own."""
    cell = nn.GRUCell(inputs.shape[1], 6).double()
    cell.load_state_dict({name[:-3]: values for name, values in ours.kernel.state_dict().items()})
    return cell(inputs, state)


def cells(model: Seq2Seq, inputs: Tensor, states: list[Tensor]) -> list[Tensor]:
    """Both layers moved by one position."""
    moved = []
    for layer, state in zip(model.decoder.stack.layers, states, strict=True):
        inputs = move(layer.cell, inputs, state)
        moved.append(inputs)
    return moved


def attend(model: Seq2Seq, query: Tensor, states: Tensor) -> Tensor:
    """Bahdanau's attention, one sentence after the other and without padding."""
    attention, contexts = model.decoder.attention, []
    assert attention is not None
    for row, length in enumerate(BATCH.source_lengths.tolist()):
        real = states[row, :length]
        hidden = torch.tanh(attention.query_map(query[row]) + attention.key_map(real))
        contexts.append(torch.softmax(attention.score_map(hidden).squeeze(1), 0) @ real)
    return torch.stack(contexts)


def started(model: Seq2Seq) -> tuple[Tensor, list[Tensor], tuple[Tensor, ...]]:
    memory, state = model.start(BATCH.source, BATCH.source_lengths)
    embedded = model.decoder.embedding(BATCH.target_inputs).unbind(1)
    return memory.states, [layer["hidden"] for layer in state.layers], embedded


def test_bahdanau_asks_with_the_top_state_before_the_position() -> None:
    model = build(context=Context.attention, query=Query.previous, readout=JOINED)
    states, hidden, embedded = started(model)
    found = []
    for word in embedded:
        context = attend(model, hidden[-1], states)
        hidden = cells(model, torch.cat((word, context), 1), hidden)
        found.append(torch.cat((hidden[-1], context, word), 1))
    close(readout(model), torch.stack(found, 1))


def test_luong_asks_with_the_current_state_and_feeds_its_readout() -> None:
    model = build(context=Context.attention, query=Query.current, input_feeding=True)
    assert model.decoder.readout_map is not None
    states, hidden, embedded = started(model)
    feed, found = torch.zeros(3, 6).double(), []
    for word in embedded:
        hidden = cells(model, torch.cat((word, feed), 1), hidden)
        context = attend(model, hidden[-1], states)
        feed = torch.tanh(model.decoder.readout_map.weight @ torch.cat((hidden[-1], context), 1).T).T
        found.append(feed)
    close(readout(model), torch.stack(found, 1))


def test_a_conditional_decoder_asks_between_its_two_cells() -> None:
    model = build(context=Context.attention, query=Query.between, readout=JOINED)
    assert model.decoder.transition is not None
    below, above = (layer.cell for layer in model.decoder.stack.layers)
    states, (lower, upper), embedded = started(model)
    found = []
    for word in embedded:
        between = move(below, word, lower)  # s' = GRU(e, s)
        context = attend(model, between, states)
        lower = move(model.decoder.transition, context, between)  # s = GRU'(c, s')
        upper = move(above, lower, upper)
        found.append(torch.cat((upper, context, word), 1))
    close(readout(model), torch.stack(found, 1))


def test_cho_sees_one_context_at_every_position() -> None:
    model = build(context=Context.every_step, readout=JOINED)
    states, hidden, embedded = started(model)
    last = torch.stack([states[row, length - 1] for row, length in enumerate(BATCH.source_lengths.tolist())])
    found = []
    for word in embedded:
        hidden = cells(model, torch.cat((word, last), 1), hidden)
        found.append(torch.cat((hidden[-1], last, word), 1))
    close(readout(model), torch.stack(found, 1))


@pytest.mark.parametrize("feeding", [False, True])
@pytest.mark.parametrize("query", Query, ids=str)
def test_a_loop_has_the_gradients_of_its_steps(query: Query, feeding: bool) -> None:
    """In the loop those of the weights wait for all positions."""
    model = build(context=Context.attention, query=query, input_feeding=feeding)
    memory, state = model.start(BATCH.source, BATCH.source_lengths)
    readouts = []
    for tokens in BATCH.target_inputs.unbind(1):
        found, state = model.decoder.step(tokens, state, memory)
        readouts.append(found.readout)
    expected = gradients(model, model.output_layer(torch.stack(readouts, 1)).sin().sum())
    memory, state = model.start(BATCH.source, BATCH.source_lengths)
    looped = model.decoder.unroll_stepwise(BATCH.target_inputs, state, memory).readout
    for name, gradient in gradients(model, model.output_layer(looped).sin().sum()).items():
        close(gradient, expected[name])


@pytest.mark.parametrize("attention", [config() for config in ATTENTIONS], ids=lambda config: config.name)
def test_mixed_precision_trains_whoever_asks(attention: AttentionConfig) -> None:
    for query in Query:
        encoder = EncoderConfig(embedding_size=6, hidden_size=6)
        decoder = DecoderConfig(embedding_size=6, hidden_size=6, query=query)
        model = build_model(ModelConfig(encoder=encoder, decoder=decoder, attention=attention), VOCAB, VOCAB, PAD, 1)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = model.readouts(BATCH.source, BATCH.source_lengths, BATCH.target_inputs)
            scores = model.output_layer(found.readout)
        assert found.attention is not None and found.attention.dtype is torch.float32
        for gradient in gradients(model, scores.float().sum()).values():
            assert gradient.dtype is torch.float32 and gradient.isfinite().all()


def summary_by_hand(summary: Summary, states: Tensor, query: Tensor | None) -> Tensor:
    """Of one sentence without padding: states (source_time, size)."""
    if summary is Summary.learned:
        assert query is not None
        return torch.softmax(states @ query, 0) @ states
    return {Summary.top: states[-1], Summary.mean: states.mean(0), Summary.max: states.max(0).values}[summary]


@pytest.mark.parametrize("summary", [each for each in Summary if each is not Summary.last], ids=str)
def test_each_summary_is_what_it_says_of_real_positions(summary: Summary) -> None:
    """The encoder ends in a residual and a norm, which `top` includes and `last` does not."""
    deep = EncoderConfig(
        embedding_size=3,
        hidden_size=5,
        layers=2,
        residual=Residual.add,
        norm=Norm.layer,
        norm_place=NormPlace.after,
    )
    decoder = DecoderConfig(embedding_size=4, hidden_size=6, context=Context.every_step, summary=summary)
    model = build_model(ModelConfig(encoder=deep, decoder=decoder), VOCAB, VOCAB, PAD, 1).double()
    memory, _ = model.start(BATCH.source, BATCH.source_lengths)
    assert memory.context is not None and model.decoder.summariser is not None
    query = model.decoder.summariser.query
    for row, length in enumerate(BATCH.source_lengths.tolist()):
        weights = None if query is None else query.weight[0]
        close(memory.context[row], summary_by_hand(summary, memory.states[row, :length], weights))


def test_maxout_takes_the_larger_one_of_each_two_units() -> None:
    joined = ReadoutConfig(embedding=True, activation=ReadoutActivation.maxout, size=3)
    model = build(context=Context.every_step, readout=joined)
    assert model.decoder.readout_map is not None
    plain = Part(torch.randn(2, 6).double(), torch.randn(2, 5).double(), torch.randn(2, 4).double(), None)
    assert plain.context is not None
    wide = torch.cat((plain.top, plain.context, plain.embedded), 1) @ model.decoder.readout_map.weight.T
    expected = torch.maximum(wide[:, 0::2], wide[:, 1::2])  # t_j = max(t̃_2j-1, t̃_2j)
    found = model.decoder.read_out(plain)
    assert found.shape == (2, 3)
    close(found, expected)


@pytest.mark.parametrize("query", Query, ids=str)
@pytest.mark.parametrize("place", ["embedding", "layers", "context", "output"])
def test_each_place_has_its_own_dropout(place: str, query: Query) -> None:
    dropout = DecoderDropout(**{place: 0.5})
    model = build(context=Context.attention, query=query, readout=JOINED, dropout=dropout)
    top, context, word = readout(model).split((6, 5, 4), 2)
    model.eval()
    whole_top, _, whole_word = readout(model).split((6, 5, 4), 2)

    def is_halved(part: Tensor, whole: Tensor) -> bool:
        """Whether some of it is gone and the rest doubled."""
        some, all_gone = bool((part == 0).any()), bool((part == 0).all())
        return some and not all_gone and torch.allclose(part[part != 0], 2 * whole[part != 0])

    assert is_halved(word, whole_word) == (place in ("embedding", "output"))
    assert bool((context == 0).any()) == (place in ("context", "output"))
    assert bool((top == 0).any()) == (place == "output")
    reaches_top = place in ("embedding", "layers", "output") or query is not Query.current
    assert torch.allclose(top, whole_top) != reaches_top
