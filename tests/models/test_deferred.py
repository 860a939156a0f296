from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seq2seq_lightning.models.cells import CELLS, CellConfig, build_cell
from seq2seq_lightning.models.decoder_config import DecoderConfig, Query
from seq2seq_lightning.models.deferred import DeferredEmbedding, DeferredLinear
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.models.seq2seq import build_model
from tests.models.variants import PAD, VOCAB, close, example

ROWS, TIME = 2, 3


def chain(step: object, start: Tensor) -> Tensor:
    """A loop in which each position reads what the last one gave."""
    values, found = start, []
    for _ in range(TIME):
        values = torch.tanh(step(values))  # type: ignore[operator]
        found.append(values)
    return torch.stack(found)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_map_has_the_values_and_gradients_of_the_plain_loop(bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(4, 4, bias=bias).double()
    start = torch.randn(ROWS, 4, dtype=torch.float64, requires_grad=True)
    expected = chain(layer, start)
    found = chain(DeferredLinear(layer.weight, layer.bias, ROWS, TIME), start)
    close(found, expected)
    wanted = [start, *layer.parameters()]
    plain = torch.autograd.grad(expected.square().sum(), wanted)
    for _ in range(2):  # a graph that is kept gives the same again
        deferred = torch.autograd.grad(found.square().sum(), wanted, retain_graph=True)
        for one, other in zip(deferred, plain, strict=True):
            close(one, other)
    some = torch.autograd.grad(found[0].sum(), wanted, retain_graph=True)  # later positions do not count
    for one, other in zip(some, torch.autograd.grad(chain(layer, start)[0].sum(), wanted), strict=True):
        close(one, other)


def test_a_frozen_weight_stays_without_gradient() -> None:
    layer = nn.Linear(4, 4)
    layer.weight.requires_grad_(False)
    chain(DeferredLinear(layer.weight, layer.bias, ROWS, TIME), torch.zeros(ROWS, 4)).sum().backward()
    assert layer.weight.grad is None
    assert layer.bias.grad is not None


def test_look_ups_count_repeated_tokens_and_spare_the_pad_row() -> None:
    table = nn.Embedding(5, 2, padding_idx=PAD)
    tokens = torch.tensor([[1, 2], [1, PAD], [4, 1]])
    lookup = DeferredEmbedding(table.weight, PAD, ROWS, TIME)
    found = torch.stack([lookup(row) for row in tokens])
    assert torch.equal(found, table(tokens))
    found.sum().backward()
    assert table.weight.grad is not None
    assert table.weight.grad.tolist() == [[0, 0], [3, 3], [1, 1], [0, 0], [1, 1]]


@pytest.mark.parametrize("config", [config(bias=bias) for config in CELLS for bias in (True, False)], ids=str)
def test_a_begun_cell_has_the_values_and_gradients_of_its_steps(config: CellConfig) -> None:
    torch.manual_seed(0)
    cell = build_cell(config, 5, 5).double()
    start = torch.randn(ROWS, 5, dtype=torch.float64, requires_grad=True)
    results = []
    for step in (cell.step, cell.begin(ROWS, TIME)):
        state, inputs, outputs = cell.initial_state(ROWS, start), start, []
        for _ in range(TIME):
            inputs, state = step(inputs, state)
            outputs.append(inputs)
        values = torch.stack(outputs)
        results.append([values, *torch.autograd.grad(values.square().sum(), [start, *cell.parameters()])])
    for one, other in zip(*results, strict=True):
        close(one, other)


def test_nothing_is_deferred_without_gradients() -> None:
    cell = build_cell(next(iter(CELLS))(), 5, 5)
    with torch.no_grad():
        assert cell.begin(ROWS, TIME) == cell.step


def test_the_loop_trains_under_bfloat16_autocast() -> None:
    model, batch = (
        build_model(ModelConfig(decoder=DecoderConfig(query=Query.previous)), VOCAB, VOCAB, PAD, 1),
        example(),
    )
    gold_mask = torch.tensor([True, False, True, False]).expand(3, 4)

    def readout() -> Tensor:
        tokens = batch.target_inputs[:, 1]
        found = model.readouts(
            batch.source, batch.source_lengths, batch.target_inputs, gold_mask, lambda _, rows, at: tokens[rows]
        )
        return found.readout.float()

    exact = readout()
    with torch.autocast("cpu", torch.bfloat16):
        rough = readout()
    torch.testing.assert_close(rough, exact, rtol=0.0, atol=0.05)
    rough.square().sum().backward()
    assert all(values.grad is not None for name, values in model.named_parameters() if "output_layer" not in name)
