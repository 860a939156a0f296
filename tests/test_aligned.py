"""Logits in aligned rows are logits, with nothing behind them."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from seq2seq_lightning.aligned import ALIGNED, ALIGNED_FROM, aligned_logits, aligned_size


def test_rows_are_filled_up_where_it_pays() -> None:
    assert aligned_size(ALIGNED_FROM - 1) == ALIGNED_FROM - 1  # small vocabularies stay as they are
    assert aligned_size(ALIGNED_FROM) == ALIGNED_FROM
    assert aligned_size(ALIGNED_FROM + 1) == ALIGNED_FROM + ALIGNED
    assert aligned_size(7859) == 7872


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("with_bias", [True, False])
@pytest.mark.parametrize("vocab", [7, ALIGNED_FROM + 3])
def test_they_are_those_of_a_linear_layer_and_no_softmax_sees_the_rest(
    dtype: torch.dtype, with_bias: bool, vocab: int
) -> None:
    stream = torch.Generator().manual_seed(0)
    rows, weight, bias = (torch.randn(*shape, generator=stream).to(dtype) for shape in ((6, 5), (vocab, 5), (vocab,)))
    weight.requires_grad_()
    exact = F.linear(rows, weight, bias if with_bias else None).detach()
    logits = aligned_logits(rows, weight, bias if with_bias else None)
    assert logits.shape == (6, aligned_size(vocab))
    assert not logits.requires_grad
    torch.testing.assert_close(logits[:, :vocab], exact)
    assert (logits[:, vocab:] == -math.inf).all()
    assert torch.equal(logits.argmax(dim=1), exact.argmax(dim=1))
    torch.testing.assert_close(logits.softmax(dim=1)[:, :vocab], exact.softmax(dim=1))
