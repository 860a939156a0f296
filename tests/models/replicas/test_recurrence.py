"""Recurrences with a backward pass of their own, beside torch's modules with the same weights."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seq2seq_lightning.models.replicas.recurrence import (
    GRURecurrence,
    LSTMRecurrence,
    Recurrence,
    ReluRecurrence,
    RNNRecurrence,
    Unrolled,
)

REPLICAS, ROWS, TIME, HIDDEN = 3, 2, 5, 4
NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
KINDS = [
    (LSTMRecurrence, nn.LSTM, {}),
    (GRURecurrence, nn.GRU, {}),
    (RNNRecurrence, nn.RNN, {}),
    (ReluRecurrence, nn.RNN, {"nonlinearity": "relu"}),
]


def unrolled(kind: type[Recurrence], inputs: Tensor, start: list[Tensor], weights: list[Tensor]) -> Tensor:
    """inputs: (replicas, time, rows, hidden), start: (replicas, rows, hidden) each. Returns outputs, likewise."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    inside = bias_hh if kind is GRURecurrence else None
    outside = bias_ih if kind is GRURecurrence else bias_ih + bias_hh
    given = torch.einsum("ktbi,kgi->tkbg", inputs, weight_ih) + outside[:, None]
    return Unrolled.apply(kind, given, weight_hh, inside, *start)[0].transpose(0, 1)


@pytest.mark.parametrize(("kind", "module", "options"), KINDS, ids=lambda each: getattr(each, "__name__", ""))
def test_values_and_gradients_are_those_of_torch(
    kind: type[Recurrence], module: type[nn.RNNBase], options: dict[str, str]
) -> None:
    torch.manual_seed(1)
    modules = [module(HIDDEN, HIDDEN, dtype=torch.float64, **options) for _ in range(REPLICAS)]
    inputs = torch.randn(REPLICAS, TIME, ROWS, HIDDEN, dtype=torch.float64, requires_grad=True)
    parts = 2 if module is nn.LSTM else 1
    start = [torch.randn(REPLICAS, ROWS, HIDDEN, dtype=torch.float64, requires_grad=True) for _ in range(parts)]
    stacked = [torch.stack([getattr(each, name).detach() for each in modules]).requires_grad_() for name in NAMES]
    begun = [[part[replica : replica + 1] for part in start] for replica in range(REPLICAS)]
    theirs = torch.stack(
        [
            each(inputs[replica], tuple(begun[replica]) if parts == 2 else begun[replica][0])[0]
            for replica, each in enumerate(modules)
        ]
    )
    for _ in range(2):  # the second time in room that was used before
        ours = unrolled(kind, inputs, start, stacked)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
        weight = torch.randn(ours.shape, dtype=ours.dtype, generator=torch.Generator().manual_seed(2))
        found = torch.autograd.grad((ours * weight).sum(), [inputs, *start, *stacked])
        parameters = [getattr(each, name) for name in NAMES for each in modules]
        wanted = torch.autograd.grad((theirs * weight).sum(), [inputs, *start, *parameters], retain_graph=True)
        by_name = [torch.stack(wanted[1 + parts + index * REPLICAS :][:REPLICAS]) for index in range(len(NAMES))]
        for ours_, theirs_ in zip(found, [*wanted[: 1 + parts], *by_name], strict=True):
            torch.testing.assert_close(ours_, theirs_, rtol=0, atol=1e-12)


def test_a_longer_sequence_finds_room_too() -> None:
    def run(time: int) -> Tensor:
        given = torch.ones(time, 1, 1, 4 * HIDDEN, dtype=torch.float64, requires_grad=True)
        weight, zeros = torch.zeros(1, 4 * HIDDEN, HIDDEN, dtype=torch.float64), torch.zeros(1, 1, HIDDEN).double()
        outputs = Unrolled.apply(LSTMRecurrence, given, weight, None, zeros, zeros)[0]
        outputs.sum().backward()
        return outputs

    torch.testing.assert_close(run(40)[:5], run(5))
