"""Laws of every recurrent cell and of their stacks, in float64.

The oracles are torch's own multi-layer modules for the cells that torch has, and for the others the equations of their
papers in ``tests.models.cell_references``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seq2seq_lightning.models.cells import CELLS, Cell, CellConfig, build_cell, mlstm, scan
from seq2seq_lightning.models.cells.cell import Kind
from seq2seq_lightning.models.cells.fused import FusedCell
from seq2seq_lightning.models.cells.gru import GRUConfig
from seq2seq_lightning.models.cells.lstm import LSTMConfig
from seq2seq_lightning.models.cells.mlstm import MLSTMConfig
from seq2seq_lightning.models.cells.rnn import Nonlinearity, RNNConfig
from seq2seq_lightning.models.cells.slstm import SLSTMConfig
from seq2seq_lightning.models.cells.sru import SRUConfig
from seq2seq_lightning.models.dropout import Noise
from seq2seq_lightning.models.encoder import EncoderDropout
from seq2seq_lightning.models.stack import Direction, Layout, Stack
from seq2seq_lightning.models.state import CellState
from tests.models.cell_references import REFERENCES, remembered
from tests.models.variants import close

SIZE = 6
CONFIGS = [config(bias=bias) for config in CELLS for bias in (True, False)] + [
    RNNConfig(nonlinearity=Nonlinearity.relu),
    SLSTMConfig(heads=3),
    MLSTMConfig(heads=2),
]
ALL = pytest.mark.parametrize("config", CONFIGS, ids=str)
EACH = pytest.mark.parametrize("config", [config() for config in CELLS], ids=str)
RECURRENT = pytest.mark.parametrize("config", [config() for config in CELLS if CELLS[config].is_recurrent], ids=str)
FUSED = [config() for config, cell in CELLS.items() if issubclass(cell, FusedCell)]
LENGTHS = torch.tensor([4, 1, 3])
REAL = torch.arange(4) < LENGTHS.unsqueeze(1)
WAYS = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "unequal"])


def made(config: CellConfig, input_size: int = 3) -> tuple[Cell, Tensor, CellState]:
    """A cell, inputs, and a state in which it may be: where a bridge has put it, and one position further."""
    torch.manual_seed(0)
    cell = build_cell(config, input_size, SIZE).double()
    for values in cell.parameters():
        values.data.mul_(1.5)
    start = cell.start({name: torch.randn(3, SIZE, dtype=torch.float64) for name in cell.bridged})
    with torch.no_grad():
        _, state = cell.step(torch.randn(3, input_size, dtype=torch.float64), start)
    return cell, torch.randn(3, 4, input_size, dtype=torch.float64, requires_grad=True), state


def grads(cell: Cell, inputs: Tensor, values: list[Tensor]) -> list[Tensor]:
    total = sum((value * torch.arange(value.numel()).view(value.shape).sin()).sum() for value in values)
    return list(torch.autograd.grad(total, [inputs, *cell.parameters()]))  # type: ignore[arg-type]


def by_steps(
    cell: Cell, inputs: Tensor, state: CellState, lengths: Tensor | None, noise: Noise | None = None
) -> tuple[Tensor, CellState]:
    """What `unroll` is to equal; a row that has ended keeps its state."""
    stepped = []
    step = cell.step if noise is None else cell.begin(3, 4, noise)
    for position in range(4):
        output, new = step(inputs[:, position], state)
        assert output is new["hidden"]
        is_over = torch.zeros(3, dtype=torch.bool) if lengths is None else lengths <= position
        state = {name: torch.where(is_over.view(-1, *[1] * (v.dim() - 1)), state[name], v) for name, v in new.items()}
        stepped.append(output)
    return torch.stack(stepped, 1), state


def agree(cell: Cell, inputs: Tensor, mine: tuple[Tensor, CellState], its: tuple[Tensor, CellState], real: Any) -> None:
    """Equal outputs at real positions, ends and gradients."""
    close(mine[0][real], its[0][real])
    assert list(mine[1]) == list(its[1])
    for name in mine[1]:
        close(mine[1][name], its[1][name])
    pairs = (grads(cell, inputs, [outputs[real], *end.values()]) for outputs, end in (mine, its))
    for one, other in zip(*pairs, strict=True):
        close(one, other)


@pytest.fixture(params=[64, 3])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many positions are computed at once where a sequence is cut."""
    monkeypatch.setattr(mlstm, "CHUNK", request.param)
    monkeypatch.setattr(scan, "CHUNK", request.param)
    return request.param


@ALL
@WAYS
def test_unroll_equals_steps_with_gradients(config: CellConfig, lengths: Tensor | None) -> None:
    cell, inputs, start = made(config)
    real = REAL if lengths is not None else torch.ones_like(REAL)
    agree(cell, inputs, cell.unroll(inputs, start, lengths), by_steps(cell, inputs, start, lengths), real)


@WAYS
def test_a_matrix_memory_is_carried_from_chunk_to_chunk(lengths: Tensor | None, chunk: int) -> None:
    cell, inputs, start = made(MLSTMConfig(heads=2))
    real = REAL if lengths is not None else torch.ones_like(REAL)
    agree(cell, inputs, cell.unroll(inputs, start, lengths), by_steps(cell, inputs, start, lengths), real)


@ALL
def test_two_halves_are_the_whole(config: CellConfig) -> None:
    cell, inputs, start = made(config)
    whole, end = cell.unroll(inputs, start)
    first, between = cell.unroll(inputs[:, :1], start)
    second, last = cell.unroll(inputs[:, 1:], between)
    close(torch.cat((first, second), 1), whole)
    for name in end:
        close(last[name], end[name])


@ALL
def test_what_lies_behind_a_row_changes_nothing(config: CellConfig) -> None:
    cell, inputs, start = made(config)
    outputs, end = cell.unroll(inputs, start, LENGTHS)
    other, same = cell.unroll(inputs.masked_fill(~REAL.unsqueeze(2), 9.0), start, LENGTHS)
    close(other[REAL], outputs[REAL])
    for name in end:
        close(same[name], end[name])


@ALL
def test_the_gradient_of_a_step_is_the_numeric_one(config: CellConfig) -> None:
    cell, inputs, start = made(config)
    one = inputs[:, 0].detach().requires_grad_()

    def step(values: Tensor, *states: Tensor) -> Tensor:
        return cell.step(values, dict(zip(start, states, strict=True)))[0]

    assert torch.autograd.gradcheck(step, (one, *[value.clone().requires_grad_() for value in start.values()]))


@pytest.mark.parametrize("config", [config for config in CONFIGS if config.name in REFERENCES], ids=str)
@pytest.mark.parametrize("input_size", [3, SIZE])
def test_a_cell_follows_the_equations_of_its_paper(config: CellConfig, input_size: int) -> None:
    cell, inputs, start = made(config, input_size)
    weights = {name: values.detach() for name, values in cell.named_parameters()}
    for state in (start, cell.initial_state(3, inputs)):
        outputs, _ = cell.unroll(inputs, state)
        for row in range(3):
            memory = remembered(config.name, state, row)
            for position in range(4):
                expected, memory = REFERENCES[config.name](weights, inputs[row, position].detach(), memory)
                close(outputs[row, position].detach(), expected)


def test_every_cell_has_an_oracle() -> None:
    assert set(REFERENCES) | set(ORACLES) == {config().name for config in CELLS}


@ALL
def test_every_parameter_has_a_kind_and_its_blocks_divide_it(config: CellConfig) -> None:
    cell, _, _ = made(config)
    kinds = cell.parameter_kinds()
    assert set(kinds) == {name for name, _ in cell.named_parameters()}
    drawn = [name for name, kind in kinds.items() if kind not in (Kind.norm, Kind.elementwise)]
    assert all(cell.get_parameter(name).shape[0] % cell.blocks(name) == 0 for name in drawn)
    assert cell.is_recurrent == (Kind.recurrent in kinds.values())
    assert bool(cell.forget_biases()) == (cell.forget_gate is not None and config.bias)


@EACH
def test_a_bridge_reaches_the_outputs(config: CellConfig) -> None:
    cell, inputs, _ = made(config)
    given = {name: torch.randn(3, SIZE, dtype=torch.float64, requires_grad=True) for name in cell.bridged}
    state = cell.start(given)
    assert list(state) == list(cell.initial_state(3, inputs))
    outputs, _ = cell.unroll(inputs, state)
    for found in torch.autograd.grad(outputs.sum(), list(given.values())):
        assert (found.abs() > 1e-9).all()


@EACH
@pytest.mark.parametrize("disturbed", [False, True])
def test_half_precision_is_close_forward_and_backward(config: CellConfig, disturbed: bool) -> None:
    cell, inputs, _ = made(config)
    cell.float()
    values, noise = inputs.detach().float(), noise_of(cell, zoneout=0.3) if disturbed else None
    exact: list[Tensor] = []
    for is_half in (False, True):
        cell.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_half):
            start = cell.initial_state(3, values)
            unroll = cell.unroll if noise is None else partial(cell.unroll_under, noise)
            outputs, state = unroll(values, start, LENGTHS)
            cell.step(values[:, 0], state)
        outputs[REAL].float().sum().backward()
        found = [outputs[REAL].float(), *(parameter.grad for parameter in cell.parameters())]
        for one, other in zip(found, exact or found, strict=True):
            assert one is not None and one.dtype is torch.float32
            torch.testing.assert_close(one, other, rtol=0.1, atol=0.1)
        exact = [value.detach().clone() for value in found if value is not None]


@ALL
@pytest.mark.parametrize("dtypes", [(torch.float32, torch.bfloat16), (torch.bfloat16, torch.float32)], ids=str)
def test_autocast_may_give_states_and_inputs_in_either_type(
    config: CellConfig, dtypes: tuple[torch.dtype, torch.dtype]
) -> None:
    """What a bridge or the layer below gives is rounded or not, as its last operation has it."""
    cell, inputs, _ = made(config, SIZE)
    cell.float()
    values, given = inputs.detach().to(dtypes[0]), {name: torch.randn(3, SIZE).to(dtypes[1]) for name in cell.bridged}
    with torch.autocast("cpu", torch.bfloat16):
        outputs, state = cell.unroll(values, cell.start(given), LENGTHS)
        output, _ = cell.begin(3, 1)(values[:, 0], state)
    (outputs[REAL].float().sum() + output.float().sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in cell.parameters())


@pytest.mark.parametrize("config", [SLSTMConfig(), MLSTMConfig()], ids=str)
@pytest.mark.parametrize("scale", [1e3, -1e3])
def test_exponential_gates_neither_overflow_nor_vanish(config: CellConfig, scale: float) -> None:
    cell, inputs, _ = made(config)
    cell.float()
    values = (inputs * scale).detach().float().requires_grad_()
    outputs, end = cell.unroll(values, cell.initial_state(3, values), LENGTHS)
    assert all(value.isfinite().all() for value in (outputs, *end.values()))
    outputs.sum().backward()
    assert all(values.grad.isfinite().all() for values in cell.parameters() if values.grad is not None)


def test_an_lstm_follows_its_equations() -> None:
    cell, inputs, start = made(LSTMConfig())
    gates = inputs[:, 0] @ cell.kernel.weight_ih_l0.T + cell.kernel.bias_ih_l0 + cell.kernel.bias_hh_l0
    gates = gates + start["hidden"] @ cell.kernel.weight_hh_l0.T
    entering, forget, candidate, leaving = gates.chunk(4, 1)
    memory = forget.sigmoid() * start["cell"] + entering.sigmoid() * candidate.tanh()
    output, state = cell.step(inputs[:, 0], start)
    close(state["cell"], memory)
    close(output, leaving.sigmoid() * memory.tanh())


NOISES: dict[str, dict[str, float]] = {
    "recurrent": {"recurrent": 0.4},
    "zoneout": {"zoneout": 0.4},
    "weight": {"weight": 0.4},
    "all": {"recurrent": 0.4, "zoneout": 0.4, "weight": 0.4},
}


def noise_of(cell: Cell, training: bool = True, **settings: float) -> Noise:
    allowed = {name: value for name, value in settings.items() if cell.is_recurrent or name == "zoneout"}
    noise = cell.draw_noise(EncoderDropout(**allowed), 3, 4, training, torch.zeros(1).double())
    assert noise is not None
    return noise


@pytest.mark.parametrize("kind", NOISES)
@ALL
@WAYS
def test_unroll_equals_steps_under_noise(config: CellConfig, lengths: Tensor | None, kind: str) -> None:
    cell, inputs, start = made(config)
    if not cell.is_recurrent and kind in ("recurrent", "weight"):
        assert cell.draw_noise(EncoderDropout(), 3, 4, True, inputs) is None
        return
    noise, real = noise_of(cell, **NOISES[kind]), REAL if lengths is not None else torch.ones_like(REAL)
    mine = cell.unroll_under(noise, inputs, start, lengths)
    agree(cell, inputs, mine, by_steps(cell, inputs, start, lengths, noise), real)
    assert not torch.allclose(mine[0][real], cell.unroll(inputs, start, lengths)[0][real]), "nothing was disturbed"


@ALL
def test_noise_that_disturbs_nothing_changes_nothing(config: CellConfig) -> None:
    cell, inputs, start = made(config)
    ones, nothing = torch.ones(3, SIZE).double(), torch.zeros(3, 4, SIZE, dtype=torch.bool)
    noise = Noise(ones, {}, dict.fromkeys(cell.zoned, nothing))
    agree(cell, inputs, cell.unroll_under(noise, inputs, start), cell.unroll(inputs, start), torch.ones_like(REAL))
    outputs, _ = cell.unroll_under(Noise(ones, {}, dict.fromkeys(cell.zoned, 0.0)), inputs, start)
    close(outputs, cell.unroll(inputs, start)[0])


@ALL
def test_a_zoned_unit_keeps_its_value(config: CellConfig) -> None:
    cell, inputs, start = made(config)
    all_kept = dict.fromkeys(cell.zoned, torch.ones(3, 4, SIZE, dtype=torch.bool))
    outputs, end = cell.unroll_under(Noise(keep=all_kept), inputs, start)
    close(outputs, start["hidden"].unsqueeze(1).expand(-1, 4, -1))
    unzoned = {"memory", "normaliser", "stabiliser"} if config.name == "mlstm" else set()
    for name in set(end) - unzoned:
        close(end[name], start[name])


@EACH
def test_one_position_of_zoneout_has_its_mean_in_evaluation(config: CellConfig) -> None:
    cell, inputs, start = made(config)
    share = 0.3
    noise = noise_of(cell, training=False, zoneout=share)
    assert noise == noise_of(cell, training=False, zoneout=share)
    found, state = cell.begin(3, 4, noise)(inputs[:, 0], start)
    fresh, new = cell.step(inputs[:, 0], start)
    close(found, share * start["hidden"] + (1 - share) * fresh)
    if config.name == "slstm":  # what is kept of c and n counts by e^m
        old_scale, scale, new_scale = (torch.exp(values["stabiliser"]) for values in (start, state, new))
        for name in ("cell", "normaliser"):
            close(state[name] * scale, share * start[name] * old_scale + (1 - share) * new[name] * new_scale)
    elif "cell" in new:
        close(state["cell"], share * start["cell"] + (1 - share) * new["cell"])


@RECURRENT
def test_recurrent_dropout_acts_on_what_the_matrices_read_alone(config: CellConfig) -> None:
    cell, inputs, start = made(config)
    nothing = Noise(hidden=torch.zeros(3, SIZE).double())
    found, _ = cell.begin(3, 4, nothing)(inputs[:, 0], start)
    unread, _ = cell.begin(3, 4, Noise(weights={name: torch.zeros(1).double() for name in recurrent(cell)}))(
        inputs[:, 0], start
    )
    close(found, unread)
    if config == GRUConfig():  # z lets the old state through undropped
        other = {name: values + 1.0 for name, values in start.items()}
        assert (cell.begin(3, 4, nothing)(inputs[:, 0], other)[0] - found).abs().min() > 0.1


def recurrent(cell: Cell) -> list[str]:
    return [name for name, kind in cell.parameter_kinds().items() if kind is Kind.recurrent]


@RECURRENT
def test_dropped_weights_are_those_of_a_cell_without_them(config: CellConfig) -> None:
    cell, inputs, start = made(config)
    noise = noise_of(cell, weight=0.4)
    found, _ = cell.unroll_under(noise, inputs, start, LENGTHS)
    with torch.no_grad():
        for name, mask in noise.weights.items():
            cell.get_parameter(name).mul_(mask)
    close(found[REAL], cell.unroll(inputs, start, LENGTHS)[0][REAL])


def test_dropped_weights_leave_torchs_kernels_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for config in FUSED:
        cell, inputs, start = made(config)
        monkeypatch.setattr(type(cell), "gate", None)
        cell.unroll_under(noise_of(cell, weight=0.4), inputs, start)


def test_noise_has_its_shares_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    cell = build_cell(LSTMConfig(), 100, 200).double()
    settings = EncoderDropout(recurrent=0.2, zoneout=0.3, weight=0.4)
    noise = cell.draw_noise(settings, 50, 20, True, torch.zeros(1).double())
    assert noise is not None and noise.hidden is not None
    (weight,) = noise.weights.values()
    assert set(noise.hidden.unique().tolist()) == {0.0, 1 / 0.8}
    assert abs((noise.hidden == 0).double().mean().item() - 0.2) < 0.02
    assert set(weight.unique().tolist()) == {0.0, 1 / 0.6}
    assert abs((weight == 0).double().mean().item() - 0.4) < 0.01
    kept = [keep for keep in noise.keep.values() if isinstance(keep, Tensor)]
    assert [abs(keep.double().mean().item() - 0.3) < 0.01 for keep in kept] == [True, True]
    assert not torch.equal(*kept), "hidden state and cell are kept each by masks of its own"


def test_evaluation_draws_nothing() -> None:
    cell, _, _ = made(LSTMConfig())
    before = torch.get_rng_state()
    noise = cell.draw_noise(EncoderDropout(recurrent=0.2, zoneout=0.3, weight=0.4), 3, 4, False, torch.zeros(1))
    assert noise == Noise(keep={"hidden": 0.3, "cell": 0.3})
    assert cell.draw_noise(EncoderDropout(recurrent=0.2, weight=0.4), 3, 4, False, torch.zeros(1)) is None
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("negative", [False, True])
def test_a_log_space_scan_is_the_scan_in_order(negative: bool, chunk: int) -> None:
    torch.manual_seed(0)
    renewal, candidate = (torch.randn(2, 7, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    start = (-3 * torch.rand(2, 5) if negative else torch.rand(2, 5)).double().requires_grad_()
    one, other = scan.in_order(renewal, candidate, start), scan.in_log_space(renewal, candidate, start)
    close(one, other)
    weights = torch.randn_like(one)
    pairs = (torch.autograd.grad((found * weights).sum(), (renewal, candidate, start)) for found in (one, other))
    for mine, its in zip(*pairs, strict=True):
        close(mine, its)
    assert torch.autograd.gradcheck(scan.in_order, (renewal, candidate, start))


def test_a_long_log_space_scan_keeps_its_digits_in_float32() -> None:
    torch.manual_seed(0)
    renewal, candidate, start = 4 * torch.randn(2, 512, 8), 4 * torch.randn(2, 512, 8), torch.randn(2, 8)
    exact = scan.in_order(renewal.double(), candidate.double(), start.double())
    torch.testing.assert_close(scan.in_order(renewal, candidate, start).double(), exact, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(scan.in_log_space(renewal, candidate, start).double(), exact, rtol=1e-3, atol=1e-3)


def test_a_simple_recurrent_unit_maps_what_it_cannot_carry() -> None:
    assert build_cell(SRUConfig(), SIZE, SIZE).weight_ih.shape[0] == 3 * SIZE
    assert build_cell(SRUConfig(), 3, SIZE).weight_ih.shape[0] == 4 * SIZE


ORACLES: dict[str, Any] = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


@pytest.mark.parametrize("direction", [Direction.forward, Direction.bidirectional], ids=str)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "unequal"])
@pytest.mark.parametrize("config", FUSED, ids=str)
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
