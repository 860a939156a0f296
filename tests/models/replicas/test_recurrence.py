"""Recurrences with a backward pass of their own, beside torch's modules with the same weights."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from seq2seq_lightning.models.replicas.reach import Reach
from seq2seq_lightning.models.replicas.recurrence import Recurrence, Unrolled, Weights
from seq2seq_lightning.models.replicas.recurrences import (
    GRURecurrence,
    LSTMRecurrence,
    ReluRecurrence,
    RNNRecurrence,
)

REPLICAS, ROWS, TIME, HIDDEN = 3, 2, 5, 4
NAMES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
KINDS = [
    (LSTMRecurrence, nn.LSTM, {}),
    (GRURecurrence, nn.GRU, {}),
    (RNNRecurrence, nn.RNN, {}),
    (ReluRecurrence, nn.RNN, {"nonlinearity": "relu"}),
]


def unrolled(
    kind: type[Recurrence], inputs: Tensor, start: list[Tensor], weights: list[Tensor], lengths: Tensor
) -> list[Tensor]:
    """inputs: (replicas, rows, time, hidden), start: (replicas, rows, hidden) each. Outputs and ends, likewise."""
    weight_ih, weight_hh, bias_ih, bias_hh = weights
    own = Weights(weight_ih, bias_ih, weight_hh, bias_hh)
    begun = [part.flatten(0, 1) for part in start]
    done = kind.begin(
        Weights(*(each.detach() for each in own if each is not None)),
        tuple(part.detach() for part in begun),
        Reach(lengths, inputs.shape[2]),
    )
    found = Unrolled.apply(done, False, len(start), inputs.flatten(0, 1), *own, *begun)
    return [each.unflatten(0, lengths.shape) for each in found]


LENGTHS = {
    "full": [[5, 5], [5, 5], [5, 5]],
    "replicas differ": [[2, 2], [5, 5], [3, 3]],
    "rows differ": [[2, 1], [3, 5], [4, 4]],
    "alone in the middle": [[1, 1], [5, 4], [1, 1]],
}


@pytest.mark.parametrize("lengths", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize(("kind", "module", "options"), KINDS, ids=lambda each: getattr(each, "__name__", ""))
def test_values_and_gradients_are_those_of_torch(
    kind: type[Recurrence], module: type[nn.RNNBase], options: dict[str, str], lengths: list[list[int]]
) -> None:
    torch.manual_seed(1)
    modules = [module(HIDDEN, HIDDEN, batch_first=True, dtype=torch.float64, **options) for _ in range(REPLICAS)]
    inputs = torch.randn(REPLICAS, ROWS, TIME, HIDDEN, dtype=torch.float64, requires_grad=True)
    parts = 2 if module is nn.LSTM else 1
    start = [torch.randn(REPLICAS, ROWS, HIDDEN, dtype=torch.float64, requires_grad=True) for _ in range(parts)]
    stacked = [torch.stack([getattr(each, name).detach() for each in modules]).requires_grad_() for name in NAMES]
    parameters = [getattr(each, name) for name in NAMES for each in modules]
    for _ in range(2):  # the second time in room that was used before
        outputs, *ends = unrolled(kind, inputs, start, stacked, torch.tensor(lengths))
        losses, theirs = torch.zeros(2, dtype=torch.float64).unbind(0)
        for replica, row in itertools.product(range(REPLICAS), range(ROWS)):
            length, begun = lengths[replica][row], [part[replica, row].view(1, 1, -1) for part in start]
            read, end = modules[replica](
                inputs[replica, row, :length].unsqueeze(0), tuple(begun) if parts == 2 else begun[0]
            )
            ended = [each.view(-1) for each in (end if parts == 2 else (end,))]
            assert_close(outputs[replica, row, :length], read[0])
            for ours, wanted in zip(ends, ended, strict=True):
                assert_close(ours[replica, row], wanted)
            losses = (
                losses + counted(outputs[replica, row, :length]) + sum(counted(each[replica, row]) for each in ends)
            )
            theirs = theirs + counted(read[0]) + sum(counted(each) for each in ended)
        found = torch.autograd.grad(losses, [inputs, *start, *stacked])
        wanted = torch.autograd.grad(theirs, [inputs, *start, *parameters])
        by_name = [torch.stack(wanted[1 + parts + index * REPLICAS :][:REPLICAS]) for index in range(len(NAMES))]
        for ours, right in zip(found, [*wanted[: 1 + parts], *by_name], strict=True):
            assert_close(ours, right)


def counted(values: Tensor) -> Tensor:
    """Every number counts differently."""
    return (values * torch.arange(1.0, values.numel() + 1, dtype=values.dtype).sin().view_as(values)).sum()


def assert_close(ours: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-12)


def test_a_longer_sequence_finds_room_too() -> None:
    weights = [torch.randn(1, 4 * HIDDEN, HIDDEN, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    biases = [torch.randn(1, 4 * HIDDEN, dtype=torch.float64, requires_grad=True) for _ in range(2)]

    def run(time: int) -> Tensor:
        inputs, start = torch.ones(1, 1, time, HIDDEN).double(), [torch.zeros(1, 1, HIDDEN).double()] * 2
        outputs = unrolled(LSTMRecurrence, inputs, start, [*weights, *biases], torch.tensor([[time]]))[0]
        outputs.sum().backward()
        return outputs[0, 0]

    torch.testing.assert_close(run(40)[:5], run(5))
