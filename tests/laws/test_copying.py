"""Laws of models that copy, over every attention and what a decoder sees of it, in float64."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor

from seq2seq_lightning.decoding import BeamConfig, DecodingConfig, GreedyConfig, SpecialIds, search
from seq2seq_lightning.models.attention import ATTENTIONS
from seq2seq_lightning.models.decoder_config import Context, Copy
from seq2seq_lightning.models.feedback import Manner, Readouts
from seq2seq_lightning.models.model_config import ModelConfig, check
from seq2seq_lightning.models.seq2seq import Seq2Seq, build_model
from seq2seq_lightning.models.state import State
from seq2seq_lightning.training.copy_losses import copy_log_probs, copy_losses
from tests.models.variants import (
    BOS,
    EOS,
    PAD,
    SIGHTS,
    VOCAB,
    Example,
    close,
    configure,
    example,
    gradients,
    pairwise,
    title,
)

UNK, SOURCE_TIME = 3, 5
Choice = dict[str, Any]


def copying(choice: Choice, **decoder: Any) -> ModelConfig:
    config = configure(choice)
    return replace(config, decoder=replace(config.decoder, copy=Copy.pointer_generator, **decoder))


@cache
def choices() -> list[Choice]:
    """Legal ones that have every attention, and every sight of it."""
    found: dict[object, Choice] = {}
    for choice in pairwise():
        if not check(copying(choice)):
            for option in (choice["attention"], choice["sight"]):
                found.setdefault(option, choice)
    return list({title(choice): choice for choice in found.values()}.values())


EVERY = pytest.mark.parametrize("choice", choices(), ids=title)
_BUILT: dict[str, Seq2Seq] = {}


def build(choice: Choice) -> Seq2Seq:
    key = title(choice)
    if key not in _BUILT:
        _BUILT[key] = build_model(copying(choice), VOCAB, VOCAB, PAD, 1, UNK).double()
    return _BUILT[key]


def copy_ids(batch: Example) -> Tensor:
    """Source ids from 8 on are words that the target lacks: numbered per sentence from VOCAB, as they come."""
    found = batch.source.clone()
    for row in found:
        unknown = dict.fromkeys(index for index in row.tolist() if index >= 8)
        for place, index in enumerate(unknown):
            row[row == index] = VOCAB + place
    return found


def labels_of(batch: Example, ids: Tensor) -> Tensor:
    """Labels of which half stand in the source, beyond the vocabulary or within it, and a shorter second row."""
    labels = batch.target_inputs.roll(-1, 1).clone()
    for row, length in enumerate(batch.source_lengths.tolist()):
        labels[row, ::2] = ids[row, torch.arange(2) % length]
    labels[1, 3:] = PAD
    return labels


def read(model: Seq2Seq, batch: Example, **arguments: Any) -> Readouts:
    return model.readouts(
        batch.source, batch.source_lengths, batch.target_inputs, copy_ids=copy_ids(batch), **arguments
    )


def dense(model: Seq2Seq, found: Readouts, ids: Tensor) -> Tensor:
    """P(w) at every position, (batch, target_time, V + source_time), word by word."""
    assert found.gate is not None and found.attention is not None
    generated = torch.softmax(model.output_layer(found.readout), -1)
    chance = 1 / (1 + torch.exp(-found.gate))
    everything = torch.zeros(*found.gate.shape, VOCAB + ids.shape[1], dtype=torch.float64)
    for row in range(ids.shape[0]):
        for position in range(found.gate.shape[1]):
            share = chance[row, position]
            everything[row, position, :VOCAB] += share * generated[row, position]
            for place, index in enumerate(ids[row].tolist()):
                everything[row, position, index] += (1 - share) * found.attention[row, position, place]
    return everything


def by_protocol(model: Seq2Seq, batch: Example) -> Tensor:
    memory, state = model.start(batch.source, batch.source_lengths, copy_ids(batch))
    found = []
    for tokens in batch.target_inputs.unbind(1):
        out = model.step(tokens, state, memory)
        state = out.state
        found.append(out.log_probs)
    return torch.stack(found, 1)


def test_every_attention_copies() -> None:
    assert {choice["attention"] for choice in choices()} == set(ATTENTIONS)
    sights = {name for name, sight in SIGHTS.items() if sight.get("context") is Context.attention}
    assert {choice["sight"] for choice in choices()} == sights


@EVERY
def test_steps_give_the_mixture_which_sums_to_one(choice: Choice) -> None:
    model, batch = build(choice), example()
    ids = copy_ids(batch)
    found = by_protocol(model, batch).exp()
    close(found, dense(model, read(model, batch), ids))
    close(found.sum(-1), torch.ones(3, 4, dtype=torch.float64))
    for row in range(3):
        absent = set(range(VOCAB, VOCAB + SOURCE_TIME)) - set(ids[row].tolist())
        assert absent and not found[row, :, sorted(absent)].any()
        assert (found[row][:, ids[row, : batch.source_lengths[row]]] > 0).all()


@EVERY
def test_losses_are_those_of_the_mixture_with_its_gradients(choice: Choice) -> None:
    model, batch = build(choice), example()
    ids = copy_ids(batch)
    labels = labels_of(batch, ids)
    assert (labels >= VOCAB).sum() >= 2 and (labels == PAD).any()
    found = read(model, batch)
    log_probs = dense(model, found, ids).log().gather(2, labels.unsqueeze(2)).squeeze(2)
    expected = -torch.where(labels == PAD, 0.0, log_probs).sum()
    wanted = gradients(model, expected)
    losses = copy_losses(model, read(model, batch), labels, PAD, count_correct=True)
    close(losses.total, expected)
    close(losses.nll, expected)
    assert int(losses.count) == 11 and losses.correct is not None
    best = dense(model, found, ids).argmax(-1)
    assert int(losses.correct) == int(((best == labels) & (labels != PAD)).sum())
    for name, gradient in gradients(model, losses.total).items():
        close(gradient, wanted[name])
        assert gradient.abs().max() > 1e-12, f"{name} learns nothing"


@EVERY
def test_with_the_gate_open_it_is_the_model_that_cannot_copy(choice: Choice) -> None:
    model, batch = build_model(copying(choice), VOCAB, VOCAB, PAD, 1, UNK).double(), example()
    plain = build_model(configure(choice), VOCAB, VOCAB, PAD, 1).double()
    gate = model.decoder.generation_gate
    assert gate is not None
    with torch.no_grad():
        gate.map.weight.zero_()
        gate.map.bias.fill_(60.0)
    memory, state = plain.start(batch.source, batch.source_lengths)
    tokens = batch.target_inputs[:, 1]
    copied_memory, copied_state = model.start(batch.source, batch.source_lengths, copy_ids(batch))
    log_probs = model.step(tokens, copied_state, copied_memory).log_probs
    close(log_probs[:, :VOCAB], plain.step(tokens, state, memory).log_probs)
    assert (log_probs[:, VOCAB:] < -50).all()
    with torch.no_grad():
        gate.map.bias.fill_(0.0)
    assert not torch.allclose(
        model.step(tokens, copied_state, copied_memory).log_probs[:, :VOCAB], log_probs[:, :VOCAB]
    )


@EVERY
def test_padding_company_and_order_change_nothing(choice: Choice) -> None:
    model, batch = build(choice), example()
    ids = copy_ids(batch)
    labels = labels_of(batch, ids)
    together = copy_log_probs(model, read(model, batch), labels, PAD)
    for index in range(3):
        one, length = slice(index, index + 1), int(batch.source_lengths[index])
        alone = batch.row(index)
        found = model.readouts(alone.source, alone.source_lengths, alone.target_inputs, copy_ids=ids[one, :length])
        close(copy_log_probs(model, found, labels[one], PAD), together[one])
    order, garbage = torch.tensor([2, 0, 1]), torch.full((3, 2), 7)
    wider, wider_ids = torch.cat((batch.source, garbage), 1)[order], torch.cat((ids, garbage), 1)[order]
    arguments = (wider, batch.source_lengths[order], batch.target_inputs[order])
    found = model.readouts(*arguments, copy_ids=wider_ids)
    close(copy_log_probs(model, found, labels[order], PAD), together[order])


@EVERY
def test_words_beyond_the_vocabulary_are_heard_as_unknown(choice: Choice) -> None:
    model, batch = build(choice), example()
    beyond = batch.target_inputs.clone()
    beyond[:, 2], unknown = VOCAB + 1, batch.target_inputs.clone()
    unknown[:, 2] = UNK
    one, other = (read(model, replace(batch, target_inputs=inputs)).readout for inputs in (beyond, unknown))
    assert torch.equal(one, other)
    memory, state = model.start(batch.source, batch.source_lengths, copy_ids(batch))
    close(model.step(beyond[:, 2], state, memory).log_probs, model.step(unknown[:, 2], state, memory).log_probs)


WAYS = [(choice, parallel) for choice in choices() for parallel in (False, True)]


@pytest.mark.parametrize(
    ("choice", "parallel"),
    [way for way in WAYS if not way[1] or copying(way[0]).completed().is_fusible],
    ids=lambda value: title(value) if isinstance(value, dict) else f"parallel={value}",
)
def test_own_tokens_are_chosen_from_the_mixture(choice: Choice, parallel: bool) -> None:
    model, batch = build(choice), example()
    gold_mask = torch.tensor([[True, False, True, True], [True, True, True, False], [True, False, False, True]])

    def argmax(scores: Tensor, rows: Tensor, position: int | Tensor) -> Tensor:
        assert scores.shape[1] == VOCAB + SOURCE_TIME and not scores.requires_grad
        copied = scores.clone()
        copied[:, :VOCAB] -= 3.0  # so that words which only the source has are chosen too
        return copied.argmax(-1)

    found = read(model, batch, gold_mask=gold_mask, fed_back=argmax, manner=Manner(parallel=parallel))
    assert found.fed_tokens is not None
    scores = dense(model, found, copy_ids(batch)).log()
    scores[:, :, :VOCAB] -= 3.0
    own = scores.argmax(-1).roll(1, 1)
    assert (own[~gold_mask] >= VOCAB).any()
    assert torch.equal(found.fed_tokens[~gold_mask], own.masked_fill(own >= VOCAB, UNK)[~gold_mask])
    assert torch.equal(found.fed_tokens[gold_mask], batch.target_inputs[gold_mask])


@EVERY
def test_a_beam_of_three_steps_like_its_rows_and_selects_like_them(choice: Choice) -> None:
    model, batch = build(choice), example()
    memory, state = model.start(batch.source, batch.source_lengths, copy_ids(batch))
    spread = torch.arange(3).repeat_interleave(3)
    tokens = torch.arange(9) % (VOCAB - 1) + 3  # some beyond the vocabulary

    def alone(token: int, row: int, before: State) -> Tensor:
        return model.step(tokens[token : token + 1], before, memory.select(spread[row : row + 1])).log_probs

    beam = model.step(tokens, state.select(spread), memory)
    for row in range(9):
        close(beam.log_probs[row : row + 1], alone(row, row, state.select(spread[row : row + 1])))
    kept, rows = torch.tensor([2, 0]), torch.tensor([8, 6, 6, 0, 2, 1])  # sentence 1 leaves, hypotheses move
    after = model.step(tokens[:6], beam.state.select(rows), memory.select(kept))
    for index, row in enumerate(rows.tolist()):
        close(after.log_probs[index : index + 1], alone(index, row, beam.state.select(torch.tensor([row]))))


@EVERY
@pytest.mark.parametrize(
    "config", [GreedyConfig(max_length=5), BeamConfig(beam_width=3, n_best=3, max_length=5)], ids=["greedy", "beam"]
)
def test_every_hypothesis_scores_what_its_labels_do(choice: Choice, config: DecodingConfig) -> None:
    """Sentences of one to five words, so that they leave the batch one after the other."""
    model, batch = build(choice), example(batch=6)
    ids = copy_ids(batch)
    memory, state = model.start(batch.source, batch.source_lengths, ids)
    found = search(model, state, memory, batch.source_lengths, config, SpecialIds(PAD, BOS, EOS))
    copied = 0
    for row, n_best in enumerate(found):
        for hypothesis in n_best:
            labels = torch.tensor([[*hypothesis.tokens, *([EOS] if hypothesis.finished else [])]])
            inputs = torch.cat((torch.tensor([[BOS]]), labels[:, :-1]), 1)
            one, length = slice(row, row + 1), batch.source_lengths[row : row + 1]
            source = batch.source[one, : int(length)]
            readouts = model.readouts(source, length, inputs, copy_ids=ids[one, : int(length)])
            assert hypothesis.log_prob == pytest.approx(copy_log_probs(model, readouts, labels, PAD).sum().item())
            copied += int((labels >= VOCAB).sum())
    assert copied, "no word was copied"
