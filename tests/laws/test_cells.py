"""Laws of every recurrent cell and of their stacks, in float64; the oracle is torch's own multi-layer module."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seq2seq_lightning.models.cells import CELLS, Cell, CellConfig, build_cell
from seq2seq_lightning.models.cells.lstm import LSTMConfig
from seq2seq_lightning.models.cells.rnn import Nonlinearity, RNNConfig
from seq2seq_lightning.models.stack import Direction, Layout, Stack
from tests.models.variants import close

CONFIGS = [config(bias=bias) for config in CELLS for bias in (True, False)] + [
    RNNConfig(nonlinearity=Nonlinearity.relu)
]
ALL = pytest.mark.parametrize("config", CONFIGS, ids=str)
LENGTHS = torch.tensor([4, 1, 3])


def made(config: CellConfig) -> tuple[Cell, Tensor, dict[str, Tensor]]:
    torch.manual_seed(0)
    cell = build_cell(config, 3, 5).double()
    start = {name: torch.randn_like(value) for name, value in cell.initial_state(3, torch.zeros(1).double()).items()}
    return cell, torch.randn(3, 4, 3, dtype=torch.float64, requires_grad=True), start


def grads(cell: Cell, inputs: Tensor, values: list[Tensor]) -> list[Tensor]:
    total = sum((value * torch.arange(value.numel()).view(value.shape).sin()).sum() for value in values)
    return list(torch.autograd.grad(total, [inputs, *cell.parameters()]))  # type: ignore[arg-type]


@ALL
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "unequal"])
def test_unroll_equals_steps_with_gradients(config: CellConfig, lengths: Tensor | None) -> None:
    cell, inputs, start = made(config)
    real = torch.arange(4) < (torch.full((3,), 4) if lengths is None else lengths).unsqueeze(1)
    outputs, end = cell.unroll(inputs, start, lengths)
    state, stepped = start, []
    for position in range(4):
        output, new = cell.step(inputs[:, position], state)
        keep = real[:, position : position + 1]
        state = {name: torch.where(keep, new[name], state[name]) for name in new}
        assert output is new["hidden"]
        stepped.append(output)
    close(outputs[real], torch.stack(stepped, 1)[real])
    assert list(end) == list(state) == list(cell.bridged)
    for name in end:
        close(end[name], state[name])
    fused = grads(cell, inputs, [outputs[real], *end.values()])
    for one, other in zip(fused, grads(cell, inputs, [torch.stack(stepped, 1)[real], *state.values()]), strict=True):
        close(one, other)


@ALL
def test_the_gradient_of_a_step_is_the_numeric_one(config: CellConfig) -> None:
    cell, inputs, start = made(config)
    one = inputs[:, 0].detach().requires_grad_()

    def step(values: Tensor, *states: Tensor) -> Tensor:
        return cell.step(values, dict(zip(start, states, strict=True)))[0]

    assert torch.autograd.gradcheck(step, (one, *[value.requires_grad_() for value in start.values()]))


@ALL
def test_every_parameter_has_a_kind_and_the_gates_divide_it(config: CellConfig) -> None:
    cell, _, _ = made(config)
    assert set(cell.parameter_kinds()) == {name for name, _ in cell.named_parameters()}
    assert all(values.shape[0] == cell.gates * 5 for values in cell.parameters())


def test_an_lstm_follows_its_equations() -> None:
    cell, inputs, start = made(LSTMConfig())
    gates = inputs[:, 0] @ cell.kernel.weight_ih_l0.T + cell.kernel.bias_ih_l0 + cell.kernel.bias_hh_l0
    gates = gates + start["hidden"] @ cell.kernel.weight_hh_l0.T
    entering, forget, candidate, leaving = gates.chunk(4, 1)
    memory = forget.sigmoid() * start["cell"] + entering.sigmoid() * candidate.tanh()
    output, state = cell.step(inputs[:, 0], start)
    close(state["cell"], memory)
    close(output, leaving.sigmoid() * memory.tanh())


ORACLES: dict[str, Any] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


@pytest.mark.parametrize("direction", [Direction.forward, Direction.bidirectional], ids=str)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "unequal"])
@pytest.mark.parametrize("config", [config() for config in CELLS], ids=str)
def test_a_stack_is_torchs_own_module(config: CellConfig, lengths: Tensor | None, direction: Direction) -> None:
    torch.manual_seed(0)
    stack = Stack(config, Layout(hidden_size=5, layers=2, direction=direction), 3).double()
    both = direction is Direction.bidirectional
    oracle = ORACLES[config.name](3, 5, num_layers=2, bidirectional=both, batch_first=True).double()
    for index, layer in enumerate(stack.layers):
        for cell, suffix in ((layer.cell, ""), (layer.reverse_cell, "_reverse")):
            if cell is not None:
                for name, values in cell.kernel.named_parameters():
                    theirs = getattr(oracle, name.replace("l0", f"l{index}{suffix}"))
                    values.data.copy_(theirs.data)
    inputs = torch.randn(3, 4, 3, dtype=torch.float64)
    outputs, ends = stack.unroll(inputs, None, lengths)
    packed = (
        inputs if lengths is None else pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    )
    expected, last = oracle(packed)
    if lengths is not None:
        expected, _ = pad_packed_sequence(expected, batch_first=True, total_length=4)
        real = (torch.arange(4) < lengths.unsqueeze(1)).unsqueeze(2)
        outputs = outputs * real
    close(outputs, expected)
    hidden = last[0] if config.name == "lstm" else last
    for index, end in enumerate(ends):  # torch lays final states out as (layers · directions, batch, hidden)
        theirs = hidden.view(2, 2 if both else 1, 3, 5)[index].transpose(0, 1).reshape(3, -1)
        close(end["hidden"], theirs)
        if config.name == "lstm":
            close(end["cell"], last[1].view(2, 2 if both else 1, 3, 5)[index].transpose(0, 1).reshape(3, -1))
