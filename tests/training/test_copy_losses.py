"""The mixture against numbers worked by hand and numerical gradients; the coverage loss by hand."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from seq2seq_lightning import losses
from seq2seq_lightning.models.copying import copied_mass, log_shares, mixed_log_probs
from seq2seq_lightning.models.feedback import Readouts
from seq2seq_lightning.training.copy_losses import copy_log_probs, copy_losses
from seq2seq_lightning.training.label_losses import coverage_loss

PAD, UNK, V = 0, 3, 6


@dataclass
class Layer:
    weight: Tensor
    bias: Tensor


@dataclass
class Copier:
    """What losses ask of a model."""

    output_layer: Layer
    vocab: int = V

    def known(self, tokens: Tensor) -> Tensor:
        return tokens.masked_fill(tokens >= V, UNK)


def readouts(source_time: int = 4) -> tuple[Copier, Readouts, Tensor]:
    stream = torch.Generator().manual_seed(0)
    readout, attention, gate = (
        torch.randn(shape, generator=stream, dtype=torch.float64) for shape in ((2, 3, 3), (2, 3, source_time), (2, 3))
    )
    ids = torch.tensor([[V, 4, V, 5], [5, V, V + 1, PAD]])
    labels = torch.tensor([[V, 4, 3], [V + 1, 5, PAD]])
    weight, bias = (torch.randn(shape, generator=stream, dtype=torch.float64) for shape in ((V, 3), (V,)))
    layer = Layer(weight.requires_grad_(), bias.requires_grad_())
    return Copier(layer), Readouts(readout, labels, attention.softmax(-1), gate, copy_ids=ids), labels


def test_a_mixture_worked_by_hand() -> None:
    """p_gen = 3/4; the generator says (1/2, 1/4, 1/4); the source is [word 1, word 3, word 3, word 1].

    attention (1/2, 1/4, 1/8, 1/8). Word 0: 3/8, 1: 3/16 + 5/32 = 11/32, 2: 3/16, 3: 3/32; 4 to 6 stand for no word.
    """
    generated = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64).log()
    attention = torch.tensor([[0.5, 0.25, 0.125, 0.125]], dtype=torch.float64)
    gate, ids = torch.tensor([math.log(3)], dtype=torch.float64), torch.tensor([[1, 3, 3, 1]])
    found = mixed_log_probs(generated, gate, attention, ids).exp()
    expected = torch.tensor([[12, 11, 6, 3, 0, 0, 0]], dtype=torch.float64) / 32
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    for label, probability in enumerate(expected[0, :4].tolist()):
        labels = torch.tensor([label])
        share, copied = log_shares(gate, copied_mass(attention, ids, labels), labels < 3)
        own = share.exp() * generated[:, min(label, 2)].exp()
        assert (own + copied.exp()).item() == pytest.approx(probability, abs=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_attention_that_underflows_gives_finite_losses_and_gradients(dtype: torch.dtype) -> None:
    mass = torch.tensor([0.0, 1e-44, 1.0, 0.0], dtype=dtype).requires_grad_()
    gate = torch.tensor([0.0, -200.0, 300.0, 300.0], dtype=dtype).requires_grad_()
    generated = torch.tensor([-1.0, -1.0, -400.0, -400.0], dtype=dtype)
    share, copied = log_shares(gate, mass, torch.tensor([False, False, True, True]))
    log_probs = torch.logaddexp(share + generated, copied)
    gradients = torch.autograd.grad(log_probs.sum(), (mass, gate))
    assert log_probs.isfinite().all() and all(gradient.isfinite().all() for gradient in gradients)
    assert log_probs[2].item() == pytest.approx(-300.0, abs=1e-4)  # only the copy can have given it
    assert log_probs[0] < -80 and gradients[1][0] < 0  # a label it cannot reach asks for more copying


def test_gradients_equal_differences() -> None:
    model, found, labels = readouts()
    assert found.attention is not None and found.gate is not None
    layer = model.output_layer

    def loss(readout: Tensor, attention: Tensor, gate: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        given = Readouts(readout, labels, attention, gate, copy_ids=found.copy_ids)
        return copy_losses(Copier(Layer(weight, bias)), given, labels, PAD).total  # type: ignore[arg-type]

    inputs = [
        value.requires_grad_() for value in (found.readout, found.attention, found.gate, layer.weight, layer.bias)
    ]
    assert torch.autograd.gradcheck(loss, inputs)


def test_positions_without_a_label_hold_no_loss_even_where_they_are_not_finite() -> None:
    model, found, labels = readouts()
    assert found.attention is not None and found.gate is not None
    clean = copy_log_probs(model, found, labels, PAD)  # type: ignore[arg-type]
    spoilt = [value.clone() for value in (found.readout, found.attention, found.gate)]
    for value in spoilt:
        value[labels == PAD] = math.nan
        value.requires_grad_()
    given = Readouts(spoilt[0], labels, spoilt[1], spoilt[2], copy_ids=found.copy_ids)
    log_probs = copy_log_probs(model, given, labels, PAD)  # type: ignore[arg-type]
    assert torch.equal(log_probs, clean) and log_probs[labels == PAD].item() == 0
    for gradient in torch.autograd.grad(log_probs.sum(), spoilt):
        assert gradient.isfinite().all() and not gradient[labels == PAD].any()


def test_no_more_logits_at_a_time_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "BLOCK_BYTES", 2 * V * 8)
    sizes, log_softmax = [], losses.F.log_softmax
    monkeypatch.setattr(
        losses.F, "log_softmax", lambda logits, **more: (sizes.append(logits.numel()), log_softmax(logits, **more))[1]
    )
    model, found, labels = readouts()
    copy_losses(model, found, labels, PAD).total.backward()  # type: ignore[arg-type]
    assert max(sizes) == 2 * V and len(sizes) == 3  # five labels in blocks of two, once


def test_a_batch_of_filler_gives_zero_with_a_gradient() -> None:
    model, found, labels = readouts()
    found.readout.requires_grad_()
    result = copy_losses(model, found, torch.full_like(labels, PAD), PAD)  # type: ignore[arg-type]
    assert (result.total.item(), result.nll.item(), result.count.item()) == (0, 0, 0)
    result.total.backward()
    assert found.readout.grad is not None and not found.readout.grad.any()


def test_the_coverage_loss_by_hand() -> None:
    """c_1 = 0; c_2 = (1, 0); c_3 = (1.25, 0.75): min(a_2, c_2) = 0.25 and min(a_3, c_3) = 0.5 + 0.5."""
    attention = torch.tensor([[[1.0, 0.0], [0.25, 0.75], [0.5, 0.5]]], dtype=torch.float64)
    everywhere = torch.ones(1, 3, dtype=torch.bool)
    assert coverage_loss(attention, everywhere).item() == 1.25
    assert coverage_loss(attention, torch.tensor([[True, True, False]])).item() == 0.25
    assert coverage_loss(attention[:, :1], everywhere[:, :1]).item() == 0
    inputs = torch.rand(2, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64).softmax(-1)
    mask = torch.tensor([[True] * 4, [True, True, False, False]])
    assert torch.autograd.gradcheck(lambda values: coverage_loss(values, mask), inputs.requires_grad_())
