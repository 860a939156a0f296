"""What training and validation ask of the output layer, of a plain model and of one with a coverage loss."""

from __future__ import annotations

import copy

import pytest
import torch

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.models.decoder_config import Copy, DecoderConfig
from seq2seq_lightning.models.encoder import EncoderConfig
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.models.seq2seq import Readouts, Seq2Seq, build_model
from seq2seq_lightning.training.label_losses import coverage_loss, label_log_probs, label_losses
from tests.models.variants import PAD, VOCAB, example, gradients

UNK = 3


def build(how: Copy, weight: float) -> Seq2Seq:
    decoder = DecoderConfig(embedding_size=6, hidden_size=6, copy=how, coverage_loss=weight)
    config = ModelConfig(encoder=EncoderConfig(embedding_size=6, hidden_size=6), decoder=decoder)
    return build_model(config, VOCAB, VOCAB, PAD, 1, UNK).double()


def batch() -> Batch:
    rows = example()
    labels, places = rows.target_inputs.roll(-1, 1), torch.arange(3)
    labels[:, -1] = labels[1, 1:] = PAD
    lengths = (labels != PAD).sum(1)
    return Batch(
        rows.source,
        rows.source_lengths,
        rows.target_inputs,
        labels,
        lengths,
        places,
        places,
        7,
        3,
        copy_ids=rows.source,
    )


def read(model: Seq2Seq, given: Batch) -> Readouts:
    return model.readouts(given.source, given.source_lengths, given.target_inputs, copy_ids=given.copy_ids)


@pytest.mark.parametrize("how", Copy)
def test_a_weight_adds_the_coverage_loss_to_what_is_trained_on_alone(how: Copy) -> None:
    given, plain, weighted = batch(), build(how, 0.0), build(how, 0.5)
    off, on = (label_losses(model, read(model, given), given, PAD) for model in (plain, weighted))
    attention = read(weighted, given).attention
    assert attention is not None and off.coverage is None and on.coverage is not None
    coverage = coverage_loss(attention, given.target_labels != PAD).item()
    assert 0 < coverage == on.coverage.item() and not on.coverage.requires_grad
    assert on.total.item() == pytest.approx(off.total.item() + 0.5 * coverage, abs=1e-12)
    assert on.nll.item() == off.nll.item()
    before, after = gradients(plain, off.total), gradients(weighted, on.total)
    name = "decoder.attention.query_map.weight"
    assert (after[name] - before[name]).abs().max() > 1e-6


@pytest.mark.parametrize("how", Copy)
def test_log_probs_of_labels_sum_to_the_loss(how: Copy) -> None:
    given, model = batch(), build(how, 0.0)
    found = read(model, given)
    log_probs = label_log_probs(model, found, given.target_labels, PAD)
    losses = label_losses(model, found, given, PAD, count_correct=True)
    assert losses.nll.item() == pytest.approx(-log_probs.sum().item(), abs=1e-12)
    assert (log_probs[given.target_labels == PAD] == 0).all() and losses.correct is not None
    assert int(losses.count) == int((given.target_labels != PAD).sum()) == int(given.target_lengths.sum())


def test_under_autocast_losses_of_copying_are_float32_and_near_those_in_float64() -> None:
    given, exact = batch(), build(Copy.pointer_generator, 0.5)
    model = copy.deepcopy(exact).float()
    with torch.autocast("cpu", torch.bfloat16):
        losses = label_losses(model, read(model, given), given, PAD)
    losses.total.backward()
    assert losses.total.dtype is losses.nll.dtype is torch.float32
    wanted = label_losses(exact, read(exact, given), given, PAD)
    assert losses.total.item() == pytest.approx(wanted.total.item(), rel=0.02)
    gate = model.decoder.generation_gate
    assert gate is not None and gate.map.weight.grad is not None and gate.map.weight.grad.abs().max() > 0
