from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import layer_norm

from seq2seq_lightning.models.cells.gru import GRUConfig
from seq2seq_lightning.models.dropout import LayerNoise
from seq2seq_lightning.models.stack import Combine, Direction, Layout, Norm, NormPlace, Reading, Residual, Stack
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
