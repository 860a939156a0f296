from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from seq2seq_lightning.models.cells.cell import CellConfig
from seq2seq_lightning.models.cells.gru import GRUConfig
from seq2seq_lightning.models.cells.lstm import LSTMConfig
from seq2seq_lightning.models.cells.mlstm import MLSTMConfig
from seq2seq_lightning.models.cells.slstm import SLSTMConfig
from seq2seq_lightning.models.dropout import LayerNoise
from seq2seq_lightning.models.encoder import EncoderDropout
from seq2seq_lightning.models.stack import (
    Combine,
    Direction,
    Layout,
    Norm,
    NormPlace,
    Reading,
    Residual,
    Stack,
    join_pairs,
)
from tests.models.variants import close

NORMED: dict[str, Any] = {"norm": Norm.layer, "residual": Residual.add}


def made(input_size: int = 4, **options: Any) -> tuple[Stack, Tensor]:
    torch.manual_seed(0)
    return Stack(GRUConfig(), Layout(hidden_size=4, layers=2, **options), input_size).double(), torch.randn(
        2, 3, 4
    ).double()


def cell(stack: Stack, index: int, inputs: Tensor) -> Tensor:
    """One layer's cell alone, as torch runs it."""
    return stack.layers[index].cell.kernel(inputs)[0]


def test_a_row_is_reversed_within_its_own_length() -> None:
    values = torch.arange(8).view(2, 4, 1)
    reading = Reading.of(values, torch.tensor([3, 1]))
    assert reading.reverse(values).flatten().tolist() == [2, 1, 0, 3, 4, 5, 6, 7]
    assert torch.equal(reading.reverse(reading.reverse(values)), values)
    assert Reading.of(values, None).reverse(values).flatten().tolist() == [3, 2, 1, 0, 7, 6, 5, 4]


def test_the_residual_starts_with_the_second_layer() -> None:
    stack, inputs = made(residual=Residual.add)
    first = cell(stack, 0, inputs)
    close(stack.unroll(inputs, None, None)[0], first + cell(stack, 1, first))


def test_a_norm_before_acts_on_what_the_cell_reads() -> None:
    stack, inputs = made(**NORMED)
    first = cell(stack, 0, layer_norm(inputs, (4,)))
    close(stack.unroll(inputs, None, None)[0], first + cell(stack, 1, layer_norm(first, (4,))))


def test_a_norm_after_acts_on_the_sum() -> None:
    stack, inputs = made(norm_place=NormPlace.after, **NORMED)
    first = layer_norm(cell(stack, 0, inputs), (4,))
    close(stack.unroll(inputs, None, None)[0], layer_norm(first + cell(stack, 1, first), (4,)))


def test_each_layer_has_a_norm_of_its_own() -> None:
    stack, _ = made(**NORMED)
    norms = [layer.norm_before for layer in stack.layers]
    assert None not in norms
    assert norms[0] is not norms[1]


def test_dropout_between_layers_spares_the_residual() -> None:
    stack, inputs = made(residual=Residual.add)
    mask = torch.tensor([0.0, 2.0, 0.0, 2.0]).double().expand(2, 3, 4)
    first = cell(stack, 0, inputs)
    close(stack.unroll(inputs, None, None, [LayerNoise(), LayerNoise(mask)])[0], first + cell(stack, 1, first * mask))


@pytest.mark.parametrize("combine", Combine, ids=str)
def test_two_directions_are_combined_per_layer_and_at_the_end(combine: Combine) -> None:
    stack, inputs = made(direction=Direction.bidirectional, combine=combine)
    layer = stack.layers[0]
    assert layer.reverse_cell is not None
    onward = cell(stack, 0, inputs)
    backward = layer.reverse_cell.kernel(inputs.flip(1))[0].flip(1)
    joined = torch.cat((onward, backward), 2)
    ends = torch.cat((onward[:, -1], backward[:, 0]), 1)
    match combine:
        case Combine.concat:
            expected, end = joined, ends
        case Combine.sum:
            expected, end = onward + backward, onward[:, -1] + backward[:, 0]
        case Combine.project:
            assert layer.projection is not None
            expected, end = layer.projection(joined), layer.projection(ends)
    outputs, final = layer.unroll(inputs, None, Reading.of(inputs, None))
    close(outputs, expected)
    close(final["hidden"], end)
    assert stack.output_size == outputs.shape[2] == (8 if combine is Combine.concat else 4)
    assert stack.unroll(inputs, None, None)[0].shape[2] == stack.output_size


def test_a_residual_that_joins_grows_from_the_second_layer_on() -> None:
    torch.manual_seed(0)
    stack = Stack(GRUConfig(), Layout(hidden_size=4, layers=3, residual=Residual.concat), 5).double()
    inputs = torch.randn(2, 3, 5).double()
    first = cell(stack, 0, inputs)
    second = torch.cat((cell(stack, 1, first), first), 2)
    outputs, ends = stack.unroll(inputs, None, None)
    close(outputs, torch.cat((cell(stack, 2, second), second), 2))
    assert stack.output_size == outputs.shape[2] == 4 + 4 + 4
    assert stack.layout.final_sizes == (4, 4, 4)
    assert [end["hidden"].shape[1] for end in ends] == [4, 4, 4]


def test_a_norm_after_covers_what_the_residual_joined() -> None:
    stack, inputs = made(residual=Residual.concat, norm=Norm.layer, norm_place=NormPlace.after)
    first = layer_norm(cell(stack, 0, inputs), (4,))
    joined = torch.cat((cell(stack, 1, first), first), 2)
    close(stack.unroll(inputs, None, None)[0], layer_norm(joined, (8,)))


@pytest.mark.parametrize("combine", Combine, ids=str)
def test_only_the_first_layer_reads_both_ways(combine: Combine) -> None:
    torch.manual_seed(0)
    layout = Layout(hidden_size=4, layers=3, direction=Direction.bidirectional_first, combine=combine)
    stack, inputs = Stack(GRUConfig(), layout, 4).double(), torch.randn(2, 3, 4).double()
    assert [layer.reverse_cell is not None for layer in stack.layers] == [True, False, False]
    first, _ = stack.layers[0].unroll(inputs, None, Reading.of(inputs, None))
    outputs, ends = stack.unroll(inputs, None, None)
    close(outputs, cell(stack, 2, cell(stack, 1, first)))
    width = 8 if combine is Combine.concat else 4
    assert layout.final_sizes == tuple(end["hidden"].shape[1] for end in ends) == (width, 4, 4)
    assert layout.output_size == outputs.shape[2] == 4


def test_pairs_of_positions_become_one_and_odd_ends_are_filled_with_zeros() -> None:
    values = torch.arange(1.0, 11.0).view(2, 5, 1)
    joined, lengths = join_pairs(values, torch.tensor([5, 2]))
    assert lengths is not None
    assert joined.tolist() == [[[1, 2], [3, 4], [5, 0]], [[6, 7], [0, 0], [0, 0]]]
    assert lengths.tolist() == [3, 1]
    joined, none = join_pairs(values, None)
    assert joined[1].tolist() == [[6, 7], [8, 9], [10, 0]]
    assert none is None


@pytest.mark.parametrize("residual", [Residual.none, Residual.concat], ids=str)
def test_a_pyramid_halves_the_time_from_layer_to_layer(residual: Residual) -> None:
    torch.manual_seed(0)
    layout = Layout(hidden_size=4, layers=3, pyramid=1, residual=residual)
    stack, inputs = Stack(GRUConfig(), layout, 4).double(), torch.randn(2, 5, 4).double()
    joined, _ = join_pairs(cell(stack, 0, inputs), None)
    second = cell(stack, 1, joined)
    second = torch.cat((second, joined), 2) if residual is Residual.concat else second
    third = cell(stack, 2, second)
    third = torch.cat((third, second), 2) if residual is Residual.concat else third
    outputs, _ = stack.unroll(inputs, None, None)
    close(outputs, third)
    assert outputs.shape == (2, 3, layout.output_size)


NOISES: dict[str, dict[str, Any]] = {
    "layers": {"layers": 0.5},
    "variational": {"layers": 0.5, "variational": True},
    "recurrent": {"recurrent": 0.5},
    "zoneout": {"zoneout": 0.5},
    "weight": {"weight": 0.5},
}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("config", [LSTMConfig(), SLSTMConfig(), MLSTMConfig()], ids=str)
def test_steps_are_disturbed_as_the_whole_is(config: CellConfig, noise: str, training: bool) -> None:
    if config.name == "mlstm" and noise in ("recurrent", "weight"):
        return
    torch.manual_seed(0)
    stack = Stack(config, Layout(hidden_size=4, layers=2, residual=Residual.concat), 4).double()
    inputs, start = torch.randn(2, 3, 4).double(), stack.initial_state(2, torch.zeros(1).double())
    drawn = stack.draw(EncoderDropout(**NOISES[noise]), 2, 3, training, inputs)
    whole, end = stack.unroll(inputs, start, None, drawn)
    for cell_steps in (stack.begin(2, 3, drawn), None):  # within a loop, or each position by itself
        state, outputs = start, []
        for position, at in enumerate(zip(*(layer.positions(3) for layer in drawn), strict=True)):
            output, state = stack.step(inputs[:, position], state, list(at), cell_steps)
            outputs.append(output)
        close(torch.stack(outputs, 1), whole)
        for mine, its in zip(state, end, strict=True):
            for name in its:
                close(mine[name], its[name])
    undisturbed, _ = stack.unroll(inputs, start, None)
    assert torch.allclose(whole, undisturbed) == (not training and noise != "zoneout")


def test_masks_are_drawn_in_a_fixed_order_and_shared_by_positions_where_variational() -> None:
    stack, inputs = made()
    torch.manual_seed(1)
    plain = stack.draw(EncoderDropout(layers=0.5), 2, 3, True, inputs)
    torch.manual_seed(1)
    more = stack.draw(EncoderDropout(layers=0.5, recurrent=0.5, zoneout=0.5, weight=0.5), 2, 3, True, inputs)
    assert plain[0].inputs is None
    assert torch.equal(plain[1].inputs, more[1].inputs)  # type: ignore[arg-type]
    shared = stack.draw(EncoderDropout(layers=0.5, variational=True), 2, 3, True, inputs)
    assert shared[1].inputs is not None
    assert shared[1].inputs.shape == (2, 1, 4)


def test_the_directions_of_a_layer_are_disturbed_each_by_itself() -> None:
    stack, inputs = made(direction=Direction.bidirectional)
    first, *_ = stack.draw(EncoderDropout(recurrent=0.5), 2, 3, True, inputs)
    assert first.cell is not None and first.reverse_cell is not None
    assert not torch.equal(first.cell.hidden, first.reverse_cell.hidden)  # type: ignore[arg-type]
    once, again = (stack.unroll(inputs, None, None, [noise, noise])[0] for noise in (first, first))
    assert torch.equal(once, again)
