"""Laws of the whole model, over every component and every pair of options, in float64."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.models.state import Memory, State
from tests.models.variants import VOCAB, Example, build, close, configure, example, gradients, pairwise, title

EVERY = pytest.mark.parametrize("choice", pairwise(), ids=title)
FUSIBLE = [choice for choice in pairwise() if configure(choice).is_fusible]
Choice = dict[str, Any]


def weigh(values: Tensor) -> Tensor:
    """A scalar that every element moves differently."""
    weights = torch.linspace(-1.0, 1.0, values.numel(), dtype=values.dtype).view(values.shape)
    return (values * torch.sin(7 * weights + 1)).sum()


def logits(model: Seq2Seq, batch: Example, **arguments: Any) -> Tensor:
    found = model.readouts(batch.source, batch.source_lengths, batch.target_inputs, **arguments)
    return model.output_layer(found.readout)


def stepwise(model: Seq2Seq, batch: Example) -> Tensor:
    memory, state = model.start(batch.source, batch.source_lengths)
    return model.output_layer(model.decoder.unroll_stepwise(batch.target_inputs, state, memory).readout)


def by_protocol(model: Seq2Seq, batch: Example) -> tuple[Tensor, list[Tensor | None]]:
    memory, state = model.start(batch.source, batch.source_lengths)
    found, weights = [], []
    for tokens in batch.target_inputs.unbind(1):
        out = model.step(tokens, state, memory)
        state = out.state
        found.append(out.log_probs)
        weights.append(out.attention)
    return torch.stack(found, 1), weights


def test_the_combinations_are_pairwise_and_few() -> None:
    assert 20 < len(pairwise()) <= 200


@EVERY
def test_steps_repeated_equal_the_readouts(choice: Choice) -> None:
    model, batch = build(configure(choice)), example()
    close(by_protocol(model, batch)[0], torch.log_softmax(logits(model, batch), -1))


@pytest.mark.parametrize("dropout", [0.0, 0.4])
@pytest.mark.parametrize("choice", FUSIBLE, ids=title)
def test_the_fused_pass_equals_the_loop_with_gradients(choice: Choice, dropout: float) -> None:
    model, batch = build(configure(choice, dropout)), example()
    torch.manual_seed(5)
    fused = logits(model, batch)
    expected = gradients(model, weigh(fused))
    torch.manual_seed(5)
    looped = stepwise(model, batch)
    close(looped, fused)
    for name, gradient in gradients(model, weigh(looped)).items():
        close(gradient, expected[name])
    if dropout:
        assert not torch.allclose(logits(model, batch), fused), "dropout must have dropped something"


@EVERY
def test_every_parameter_receives_a_gradient(choice: Choice) -> None:
    model = build(configure(choice))
    found = gradients(model, weigh(logits(model, example())))
    silent = [name for name, gradient in found.items() if not gradient.abs().max() > 1e-12]
    assert not silent


@EVERY
def test_padding_company_and_order_change_nothing(choice: Choice) -> None:
    model, batch = build(configure(choice)), example()
    together = logits(model, batch)
    for index in range(3):
        close(logits(model, batch.row(index)), together[index : index + 1])
    order = torch.tensor([2, 0, 1])
    wider = torch.cat((batch.source, torch.full((3, 2), 7)), 1)  # garbage beyond the lengths
    shuffled = Example(wider[order], batch.source_lengths[order], batch.target_inputs[order])
    close(logits(model, shuffled), together[order])


@EVERY
def test_attention_sums_to_one_and_is_zero_at_padding(choice: Choice) -> None:
    model, batch = build(configure(choice)), example()
    is_padding = ~model.start(batch.source, batch.source_lengths)[0].mask
    weights = by_protocol(model, batch)[1]
    attends = model.decoder.attention is not None
    assert [found is not None for found in weights] == [attends] * len(weights)
    for found in weights:
        if found is not None:
            close(found.sum(1), torch.ones(3, dtype=torch.float64))
            assert (found[is_padding] == 0).all()
            assert (found[~is_padding] > 0).all()


@EVERY
def test_training_sees_the_weights_of_every_position(choice: Choice) -> None:
    model, batch = build(configure(choice)), example()
    found = model.readouts(batch.source, batch.source_lengths, batch.target_inputs).attention
    weights = by_protocol(model, batch)[1]
    if model.decoder.attention is None:
        assert found is None
    else:
        assert found is not None
        close(found, torch.stack([each for each in weights if each is not None], 1))


@EVERY
def test_own_tokens_are_fed_where_the_mask_says_and_carry_no_gradient(choice: Choice) -> None:
    model, batch = build(configure(choice)), example()
    gold_mask = torch.tensor([[True, False, True, True], [True, True, True, False], [True, False, False, True]])
    seen: list[int] = []

    def fed_back(values: Tensor, rows: Tensor, position: int | Tensor) -> Tensor:
        assert isinstance(position, int)
        assert not values.requires_grad
        seen.append(position)
        return values.argmax(-1)

    found = model.readouts(batch.source, batch.source_lengths, batch.target_inputs, gold_mask, fed_back)
    assert seen == [1, 2, 3]
    assert torch.equal(found.fed_tokens[gold_mask], batch.target_inputs[gold_mask])
    scores = model.output_layer(found.readout)
    previous = scores.argmax(-1).roll(1, 1)
    assert torch.equal(found.fed_tokens[~gold_mask], previous[~gold_mask])
    mine = gradients(model, weigh(scores))
    fixed = Example(batch.source, batch.source_lengths, found.fed_tokens)
    same = logits(model, fixed)
    close(scores, same)
    for name, gradient in gradients(model, weigh(same)).items():
        close(mine[name], gradient)


@EVERY
def test_an_all_gold_mask_is_teacher_forcing(choice: Choice) -> None:
    model, batch = build(configure(choice)), example()
    all_gold = torch.ones_like(batch.target_inputs, dtype=torch.bool)
    found = model.readouts(batch.source, batch.source_lengths, batch.target_inputs, all_gold)
    assert torch.equal(model.output_layer(found.readout), logits(model, batch))
    assert torch.equal(found.fed_tokens, batch.target_inputs)


@EVERY
def test_a_beam_of_three_steps_like_its_rows_and_selects_like_them(choice: Choice) -> None:
    model, batch = build(configure(choice)), example()
    memory, state = model.start(batch.source, batch.source_lengths)
    spread = torch.arange(3).repeat_interleave(3)
    tokens = torch.arange(9) % (VOCAB - 3) + 3
    beam = model.step(tokens, state.select(spread), memory)
    for row in range(9):
        sentence = spread[row : row + 1]
        alone = model.step(tokens[row : row + 1], state.select(sentence), memory.select(sentence))
        close(beam.log_probs[row : row + 1], alone.log_probs)
    kept, rows = torch.tensor([2, 0]), torch.tensor([8, 6, 6, 0, 2, 1])  # sentence 1 leaves, hypotheses move
    after = model.step(tokens[:6], beam.state.select(rows), memory.select(kept))
    for index, row in enumerate(rows.tolist()):
        one = torch.tensor([row])
        alone = model.step(tokens[index : index + 1], beam.state.select(one), memory.select(spread[one]))
        close(after.log_probs[index : index + 1], alone.log_probs)
        for mine, its in zip(_tensors(after.state), _tensors(alone.state), strict=True):
            close(mine[index : index + 1], its)


@EVERY
def test_nothing_about_a_sentence_stays_on_the_model(choice: Choice) -> None:
    model, batch = build(configure(choice)), example()
    before = logits(model, batch)
    logits(model, example(seed=9, batch=2))
    assert torch.equal(logits(model, batch), before)
    assert not dict(model.named_buffers())


def _tensors(state: State | Memory) -> list[Tensor]:
    assert isinstance(state, State)
    found: list[Tensor] = []

    def keep(value: Tensor) -> Tensor:
        found.append(value)
        return value

    state.map(keep)
    return found
