from __future__ import annotations

import pytest
import torch
from torch import Tensor

from seq2seq_lightning.models.bridges import BridgeSizes, build_bridge
from seq2seq_lightning.models.bridges.bridge import BridgeSource
from seq2seq_lightning.models.bridges.copy import CopyBridgeConfig
from seq2seq_lightning.models.bridges.dense import BridgeActivation, DenseBridge, DenseBridgeConfig
from seq2seq_lightning.models.bridges.zero import ZeroBridgeConfig
from seq2seq_lightning.models.cells.cell import CellConfig
from seq2seq_lightning.models.cells.gru import GRUConfig
from seq2seq_lightning.models.cells.lstm import LSTMConfig
from seq2seq_lightning.models.cells.mlstm import MLSTMConfig
from seq2seq_lightning.models.cells.sru import SRUConfig
from seq2seq_lightning.models.encoder import Encoded
from seq2seq_lightning.models.stack import Layout, Stack

SIZES = BridgeSizes(final_sizes=(3, 3), states_size=3, direction_size=3, decoder_size=3, decoder_layers=2)
MASK = torch.tensor([[True, True], [True, False]])
STATES = torch.arange(12.0).view(2, 2, 3)


def encoded(names: tuple[str, ...] = ("hidden", "cell")) -> Encoded:
    final = tuple({name: torch.full((2, 3), 10.0 * layer + len(name)) for name in names} for layer in (1, 2))
    return Encoded(STATES, MASK, final)


def stack(cell: CellConfig) -> Stack:
    return Stack(cell, Layout(hidden_size=3, layers=2), 3)


def hidden(
    config: CopyBridgeConfig | DenseBridgeConfig | ZeroBridgeConfig, cell: CellConfig
) -> list[dict[str, Tensor]]:
    decoder = stack(cell)
    return list(build_bridge(config, SIZES, decoder.bridged)(encoded(), decoder))


def test_zero_starts_at_zero_in_every_layer() -> None:
    for layer in hidden(ZeroBridgeConfig(), LSTMConfig()):
        assert layer["hidden"].tolist() == layer["cell"].tolist() == [[0, 0, 0], [0, 0, 0]]


def test_copy_takes_each_layer_or_the_top_one() -> None:
    last = hidden(CopyBridgeConfig(source=BridgeSource.last), LSTMConfig())
    assert [(layer["hidden"][0, 0].item(), layer["cell"][0, 0].item()) for layer in last] == [(16, 14), (26, 24)]
    top = hidden(CopyBridgeConfig(source=BridgeSource.top), LSTMConfig())
    assert [(layer["hidden"][0, 0].item(), layer["cell"][0, 0].item()) for layer in top] == [(26, 24), (26, 24)]


def test_the_mean_is_over_real_positions() -> None:
    for layer in hidden(CopyBridgeConfig(source=BridgeSource.mean), LSTMConfig()):
        assert layer["hidden"].tolist() == layer["cell"].tolist() == [[1.5, 2.5, 3.5], [6.0, 7.0, 8.0]]


def test_a_state_the_encoder_lacks_is_filled_from_hidden() -> None:
    decoder = stack(LSTMConfig())
    bridge = build_bridge(CopyBridgeConfig(), SIZES, decoder.bridged)
    assert bridge(encoded(("hidden",)), decoder)[0]["cell"].tolist() == [[26.0] * 3] * 2
    assert list(hidden(CopyBridgeConfig(), GRUConfig())[0]) == ["hidden"]


@pytest.mark.parametrize("activation", BridgeActivation, ids=str)
def test_dense_maps_each_layer_and_state_by_itself(activation: BridgeActivation) -> None:
    torch.manual_seed(0)
    decoder = stack(LSTMConfig())
    bridge = build_bridge(DenseBridgeConfig(activation=activation), SIZES, decoder.bridged)
    assert isinstance(bridge, DenseBridge)
    assert sum(values.numel() for values in bridge.parameters()) == 2 * 2 * (3 * 3 + 3)
    functions = {"tanh": torch.tanh, "relu": torch.relu, "none": lambda values: values}
    found = bridge(encoded(), decoder)
    for layer, (maps, state) in enumerate(zip(bridge.maps, found, strict=True)):
        for name, value in state.items():
            expected = functions[activation.value](maps[name](encoded().final_state[1][name]))  # type: ignore[index]
            assert torch.equal(value, expected), (layer, name)


def test_the_maximum_is_taken_unit_by_unit() -> None:
    for layer in hidden(CopyBridgeConfig(source=BridgeSource.max), LSTMConfig()):
        assert layer["hidden"].tolist() == layer["cell"].tolist() == [[3, 4, 5], [6, 7, 8]]


def test_dense_maps_from_the_size_that_each_source_has() -> None:
    sizes = BridgeSizes(final_sizes=(6, 3), states_size=9, direction_size=3, decoder_size=4, decoder_layers=2)
    expected = {
        BridgeSource.last: [6, 3],
        BridgeSource.top: [3, 3],
        BridgeSource.mean: [9, 9],
        BridgeSource.max: [9, 9],
    }
    for source, taken in expected.items():
        bridge = build_bridge(DenseBridgeConfig(source=source), sizes, ("hidden",))
        assert isinstance(bridge, DenseBridge)
        assert [maps["hidden"].in_features for maps in bridge.maps] == taken  # type: ignore[index]


def test_a_cell_places_what_it_is_given() -> None:
    sru = hidden(CopyBridgeConfig(), SRUConfig())[0]
    assert torch.equal(sru["hidden"], sru["cell"])
    matrix = hidden(CopyBridgeConfig(), MLSTMConfig())[0]
    key = torch.full((3,), 3**-0.5)
    read = torch.einsum("k,bkv->bv", key, matrix["memory"][:, 0])  # a query that is the key finds the vector
    torch.testing.assert_close(read, matrix["hidden"])
    assert matrix["stabiliser"].tolist() == [[0.0], [0.0]]
