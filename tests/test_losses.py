"""The blocked loss against a float64 loop, torch's own cross-entropy, and numerical gradients."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from seq2seq_lightning import losses
from seq2seq_lightning.aligned import ALIGNED_FROM
from seq2seq_lightning.losses import perplexity, token_losses

PAD = 0
BATCH, TIME, SIZE, VOCAB = 3, 5, 4, 7


def example(dtype=torch.float64, with_bias=True, size=SIZE, vocab=VOCAB, batch=BATCH, time=TIME):
    generator = torch.Generator().manual_seed(0)
    readout = torch.randn(batch, time, size, generator=generator, dtype=dtype).requires_grad_()
    weight = torch.randn(vocab, size, generator=generator, dtype=dtype).requires_grad_()
    bias = torch.randn(vocab, generator=generator, dtype=dtype).requires_grad_() if with_bias else None
    labels = torch.randint(1, vocab, (batch, time), generator=generator)
    for row in range(batch):
        labels[row, time - row :] = PAD
    return readout, weight, bias, labels


def by_hand(readout, weight, bias, labels, smoothing):
    """Position by position in Python: (smoothed, nll, count, correct)."""
    readout, weight, bias = readout.detach(), weight.detach(), bias.detach()
    smoothed = nll = count = correct = 0
    for row in range(labels.size(0)):
        for time in range(labels.size(1)):
            label = int(labels[row, time])
            if label == PAD:
                continue
            logits = [float(readout[row, time] @ weight[word]) + float(bias[word]) for word in range(len(weight))]
            norm = math.log(sum(math.exp(logit) for logit in logits))
            log_probs = [logit - norm for logit in logits]
            truth = [smoothing / len(weight) + (1 - smoothing) * (word == label) for word in range(len(weight))]
            smoothed -= sum(share * log_prob for share, log_prob in zip(truth, log_probs, strict=True))
            nll -= log_probs[label]
            count += 1
            correct += log_probs[label] == max(log_probs)
    return smoothed, nll, count, correct


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_sums_equal_a_loop_in_float64(smoothing):
    readout, weight, bias, labels = example()
    result = token_losses(readout, weight, bias, labels, PAD, smoothing, count_correct=True)
    smoothed, nll, count, correct = by_hand(readout, weight, bias, labels, smoothing)
    assert result.total.item() == pytest.approx(smoothed, abs=1e-9)
    assert result.nll.item() == pytest.approx(nll, abs=1e-9)
    assert (result.count.item(), result.correct.item()) == (count, correct) and 0 < correct < count == 12


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("block", [1, 5, None])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("vocab", [VOCAB, ALIGNED_FROM + 3])  # the second in rows that are filled up
def test_values_and_gradients_equal_torchs(smoothing, block, with_bias, vocab):
    readout, weight, bias, labels = example(with_bias=with_bias, vocab=vocab)
    inputs = [tensor for tensor in (readout, weight, bias) if tensor is not None]
    ours = token_losses(readout, weight, bias, labels, PAD, smoothing, block).total
    theirs = F.cross_entropy(
        F.linear(readout, weight, bias).flatten(0, 1),
        labels.flatten(),
        ignore_index=PAD,
        reduction="sum",
        label_smoothing=smoothing,
    )
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-9)
    for mine, other in zip(torch.autograd.grad(3 * ours, inputs), torch.autograd.grad(3 * theirs, inputs), strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-9)


@pytest.mark.parametrize("block", [2, None])
def test_gradients_equal_differences(block):
    readout, weight, bias, labels = example()
    assert torch.autograd.gradcheck(
        lambda *inputs: token_losses(*inputs, labels, PAD, 0.1, block).total, (readout, weight, bias)
    )


def test_position_nll_ignores_what_stands_behind_the_vocabulary():
    readout, weight, bias, labels = example(vocab=ALIGNED_FROM + 3)
    theirs = F.cross_entropy(
        F.linear(readout, weight, bias).flatten(0, 1), labels.flatten(), ignore_index=PAD, reduction="none"
    )
    ours = losses.position_nll(readout, weight, bias, labels, PAD)
    torch.testing.assert_close(ours.flatten(), theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("block", [1, 5, None])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("vocab", [VOCAB, ALIGNED_FROM + 3])
def test_position_nll_has_torchs_gradients_under_any_weights(block, with_bias, vocab):
    readout, weight, bias, labels = example(with_bias=with_bias, vocab=vocab)
    inputs = [tensor for tensor in (readout, weight, bias) if tensor is not None]
    weights = torch.linspace(-1, 2, labels.numel(), dtype=torch.float64)
    theirs = F.cross_entropy(
        F.linear(readout, weight, bias).flatten(0, 1), labels.flatten(), ignore_index=PAD, reduction="none"
    )
    ours = losses.position_nll(readout, weight, bias, labels, PAD, block).flatten()
    pairs = [torch.autograd.grad((weights * each).sum(), inputs) for each in (ours, theirs)]
    for mine, other in zip(*pairs, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-9)


def test_only_what_needs_a_gradient_gets_one():
    readout, weight, bias, labels = example()
    weight, bias = weight.detach(), bias.detach()
    token_losses(readout, weight, bias, labels, PAD).total.backward()
    assert readout.grad is not None and weight.grad is None and bias.grad is None


def test_without_gradients_none_are_computed(monkeypatch):
    def fail(*_):
        raise AssertionError("gradients in evaluation")

    monkeypatch.setattr(losses, "_logit_gradient", fail)
    readout, weight, bias, labels = example()
    with torch.no_grad():
        result = token_losses(readout, weight, bias, labels, PAD)
    assert not result.total.requires_grad and result.total.item() > 0
    assert result.correct is None


def test_nll_carries_no_gradient():
    result = token_losses(*example(), PAD, 0.1)
    assert result.total.requires_grad and not result.nll.requires_grad
    assert result.nll.item() != pytest.approx(result.total.item())


def test_tied_weights_add_both_gradients():
    _, weight, bias, labels = example()
    ids = labels.roll(1, dims=1)
    readout = F.embedding(ids, weight)
    (ours,) = torch.autograd.grad(token_losses(readout, weight, bias, labels, PAD).total, weight)
    logits = F.linear(F.embedding(ids, weight), weight, bias).flatten(0, 1)
    (theirs,) = torch.autograd.grad(
        F.cross_entropy(logits, labels.flatten(), ignore_index=PAD, reduction="sum"), weight
    )
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-9)


def test_rows_of_filler_give_zero_with_a_gradient():
    readout, weight, bias, labels = example()
    result = token_losses(readout, weight, bias, torch.full_like(labels, PAD), PAD, 0.1, count_correct=True)
    assert (result.total.item(), result.nll.item(), result.count.item(), result.correct.item()) == (0, 0, 0, 0)
    result.total.backward()
    for tensor in (readout, weight, bias):
        assert not tensor.grad.any()


def test_padding_holds_no_loss_even_where_it_is_not_finite():
    readout, weight, bias, labels = example()
    spoilt = readout.detach().clone()
    spoilt[labels == PAD] = math.nan
    spoilt.requires_grad_()
    clean = token_losses(readout, weight, bias, labels, PAD)
    result = token_losses(spoilt, weight, bias, labels, PAD)
    assert result.total.item() == clean.total.item()
    result.total.backward()
    assert not spoilt.grad[labels == PAD].any() and weight.grad.isfinite().all()


@pytest.mark.parametrize("block", [1, 4, 12, 1000])
def test_no_more_logits_at_a_time_than_a_block(block, monkeypatch):
    seen = []
    log_softmax = F.log_softmax

    def watch(logits, **keywords):
        seen.append(len(logits))
        return log_softmax(logits, **keywords)

    monkeypatch.setattr(losses.F, "log_softmax", watch)
    token_losses(*example(), PAD, block=block)
    assert sum(seen) == 12  # real positions only
    assert max(seen) == min(block, 12)


def test_the_default_block_bounds_bytes_not_positions():
    readout = torch.empty(1, 1, 2)
    for dtype, itemsize in [(torch.float32, 4), (torch.float64, 8), (torch.bfloat16, 4)]:
        rows = losses._block_rows(readout.to(dtype), torch.empty(50_000, 2))
        assert losses.BLOCK_BYTES - 50_000 * itemsize < rows * 50_000 * itemsize <= losses.BLOCK_BYTES
    assert losses._block_rows(readout, torch.empty(losses.BLOCK_BYTES, 1, device="meta")) == 1


def test_losses_under_autocast_are_float32_and_gradients_fit_their_tensors():
    readout, weight, bias, labels = example(torch.float32, size=16, vocab=50, batch=8, time=9)
    exact = token_losses(readout, weight, bias, labels, PAD, 0.1)
    gradients = torch.autograd.grad(exact.total, (readout, weight, bias))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = token_losses(readout.bfloat16(), weight, bias, labels, PAD, 0.1)
    assert half.total.dtype == half.nll.dtype == torch.float32
    assert half.total.item() == pytest.approx(exact.total.item(), rel=1e-2)
    assert half.total.item() != exact.total.item()
    for mine, other in zip(torch.autograd.grad(half.total, (readout, weight, bias)), gradients, strict=True):
        assert mine.dtype is torch.float32
        torch.testing.assert_close(mine, other, rtol=0.05, atol=0.05)


def test_large_logits_do_not_overflow():
    readout, weight, bias, labels = example(torch.float32)
    result = token_losses(readout * 1e4, weight, bias, labels, PAD, 0.1)
    result.total.backward()
    assert result.total.isfinite() and weight.grad.isfinite().all()


def test_perplexity():
    # three labels with probabilities 1/2, 1/4, 1/8: the geometric mean is 1/4
    assert perplexity(math.log(2) + math.log(4) + math.log(8), 3) == pytest.approx(4)
    assert perplexity(1e6, 1) == math.inf
    assert math.isnan(perplexity(0.0, 0))


@pytest.mark.parametrize("block", [1, 5, None])
@pytest.mark.parametrize("with_bias", [True, False])
def test_mixtures_equal_the_plain_formula_with_gradients(block, with_bias):
    readout, weight, bias, labels = example(with_bias=with_bias)
    generator = torch.Generator().manual_seed(1)
    share, other = (-torch.rand(BATCH, TIME, generator=generator, dtype=torch.float64) * 3 for _ in range(2))
    share[0, 1], other[1, 0] = -math.inf, -math.inf  # nothing but the other, nothing but the softmax
    inputs = [each.requires_grad_() for each in (readout, weight, bias, share, other) if each is not None]
    ours = losses.mixture_losses(readout, weight, bias, labels, share, other, PAD, block)
    own = torch.log_softmax(F.linear(readout, weight, bias), -1).gather(2, labels[:, :, None]).squeeze(2)
    theirs = -(share.exp() * own.exp() + other.exp()).log()[labels != PAD].sum()
    assert ours.total.item() == ours.nll.item() == pytest.approx(theirs.item(), abs=1e-9)
    assert (ours.count.item(), ours.correct, ours.nll.requires_grad) == (12, None, False)
    for mine, other_one in zip(
        torch.autograd.grad(3 * ours.total, inputs), torch.autograd.grad(3 * theirs, inputs), strict=True
    ):
        torch.testing.assert_close(mine, other_one.nan_to_num(0.0), rtol=0, atol=1e-9)
