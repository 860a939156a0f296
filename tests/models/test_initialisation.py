from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from seq2seq_lightning.models.attention import AdditiveAttentionConfig, GeneralAttentionConfig
from seq2seq_lightning.models.cells import CELLS, CellConfig, GRUConfig, LSTMConfig, SLSTMConfig, build_cell
from seq2seq_lightning.models.cells.cell import Cell, Kind
from seq2seq_lightning.models.decoder_config import DecoderConfig
from seq2seq_lightning.models.encoder import EncoderConfig
from seq2seq_lightning.models.initialisation import (
    BiasRule,
    InitialisationConfig,
    Preset,
    Rule,
    initialise,
    parameters_by_kind,
)
from seq2seq_lightning.models.model_config import ModelConfig
from seq2seq_lightning.models.seq2seq import Seq2Seq, build_model
from tests.models.variants import PAD, VOCAB, configure, pairwise, title

STANDARD = InitialisationConfig(preset=Preset.standard)


def build(config: InitialisationConfig, cell: CellConfig | None = None, seed: int = 1) -> Seq2Seq:
    return build_model(small(cell=cell, initialisation=config), VOCAB, VOCAB, PAD, seed)


def small(layers: int = 1, **parts: Any) -> ModelConfig:
    decoder = DecoderConfig(embedding_size=32, hidden_size=32, layers=layers)
    return ModelConfig(encoder=EncoderConfig(embedding_size=32, hidden_size=32), decoder=decoder, **parts)


def cells(model: nn.Module) -> list[Cell]:
    return [module for module in model.modules() if isinstance(module, Cell)]


@pytest.mark.parametrize("choice", pairwise(), ids=title)
def test_every_parameter_of_every_model_is_covered_once(choice: dict[str, object]) -> None:
    model = Seq2Seq(configure(choice).completed(), VOCAB, VOCAB, PAD)
    covered = [id(parameter.values) for parameter in parameters_by_kind(model)]
    assert sorted(covered) == sorted(id(values) for values in model.parameters())
    with torch.no_grad():
        for values in model.parameters():
            values.fill_(7.0)
    initialise(model, STANDARD, 1)
    left = [name for name, values in model.named_parameters() if (values == 7.0).any()]
    assert not left


def test_an_unknown_module_is_an_error() -> None:
    class Scale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(1))

    with pytest.raises(TypeError, match=r"no initialisation is known for the parameters .*scale.* of inner"):
        list(parameters_by_kind(nn.ModuleDict({"inner": Scale()})))


def gates(cell: Cell, kind: Kind) -> list[torch.Tensor]:
    """Each matrix or vector of a kind, one per gate and head."""
    names = [name for name, its in cell.parameter_kinds().items() if its is kind]
    return [gate for name in names for gate in cell.get_parameter(name).detach().chunk(cell.blocks(name))]


RECURRENT = [config() for config in CELLS if CELLS[config].is_recurrent]


@pytest.mark.parametrize("config", [*RECURRENT, SLSTMConfig(heads=4)], ids=str)
def test_recurrent_matrices_are_orthogonal_gate_by_gate(config: CellConfig) -> None:
    for cell in cells(build(STANDARD, config)):
        assert len(gates(cell, Kind.recurrent)) == cell.gates * getattr(config, "heads", 1)
        for gate in gates(cell, Kind.recurrent):
            torch.testing.assert_close(gate @ gate.T, torch.eye(gate.shape[0]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("config", [config() for config in CELLS], ids=str)
def test_xavier_takes_the_fans_of_one_gate(config: CellConfig) -> None:
    for cell in cells(build(STANDARD, config)):
        for gate in gates(cell, Kind.input):
            bound = (6 / sum(gate.shape)) ** 0.5
            assert gate.shape[0] in (cell.hidden_size, getattr(config, "heads", 0))
            assert 0.75 * bound < gate.abs().max() <= bound


@pytest.mark.parametrize("config", [config() for config in CELLS if CELLS[config].forget_gate is not None], ids=str)
def test_the_forget_bias_is_exactly_one_in_total_and_every_other_bias_zero(config: CellConfig) -> None:
    for cell in cells(build(STANDARD, config)):
        assert cell.forget_gate is not None
        assert sum(cell.forget_biases()).unique().tolist() == [1.0]  # type: ignore[union-attr]
        for bias in cell.forget_biases():
            bias.data.zero_()
        assert not any(bias.any() for bias in gates(cell, Kind.bias))


@pytest.mark.parametrize("config", [config() for config in CELLS if CELLS[config].forget_gate is not None], ids=str)
def test_a_closed_forget_gate_forgets(config: CellConfig) -> None:
    torch.manual_seed(0)
    cell, inputs = build_cell(config, 3, 4), torch.randn(2, 3)
    _, state = cell.step(torch.randn(2, 3), cell.start({name: torch.ones(2, 4) for name in cell.bridged}))
    memory = set(state) - {"hidden", "stabiliser"} or {"hidden"}
    other = {name: values * (3 if name in memory else 1) for name, values in state.items()}
    for value, forgets in ((100.0, False), (-100.0, True)):
        for bias in cell.forget_biases():
            bias.data.fill_(value)
        outputs = [cell.step(inputs, start)[0] for start in (state, other)]
        assert torch.allclose(*outputs) == forgets


@pytest.mark.parametrize("config", [config() for config in CELLS if CELLS[config].forget_gate is None], ids=str)
def test_no_other_cell_has_a_forget_bias(config: CellConfig) -> None:
    for cell in cells(build(InitialisationConfig(preset=Preset.standard, forget_bias=2.0), config)):
        assert gates(cell, Kind.bias) and not any(bias.any() for bias in gates(cell, Kind.bias))


def test_the_forget_bias_can_be_chosen_with_biases_as_torch_draws_them() -> None:
    for cell in cells(build(InitialisationConfig(forget_bias=0.5), LSTMConfig())):
        total = (cell.kernel.bias_ih_l0 + cell.kernel.bias_hh_l0).detach().chunk(4)
        assert total[1].unique().tolist() == [0.5]
        assert total[0].unique().numel() > 2


@pytest.mark.parametrize("rule", Rule, ids=str)
def test_the_pad_row_is_zero_under_every_rule(rule: Rule) -> None:
    model = build(InitialisationConfig(embedding=rule))
    for embedding in (model.encoder.embedding, model.decoder.embedding):
        assert not embedding.weight[PAD].any()
        assert embedding.weight[1:].abs().min() > 0


def test_uniform_and_normal_have_the_chosen_spread() -> None:
    config = InitialisationConfig(
        embedding=Rule.normal,
        input=Rule.uniform,
        recurrent=Rule.uniform,
        output=Rule.normal,
        bias=BiasRule.uniform,
        uniform_bound=0.03,
        normal_deviation=0.01,
    )
    for parameter in parameters_by_kind(build(config)):
        if parameter.kind in (Kind.embedding, Kind.output):
            assert abs(parameter.values[1:].std().item() - 0.01) < 0.002, parameter.name
        else:
            assert 0.02 < parameter.values.abs().max() <= 0.03, parameter.name


def test_the_torch_preset_leaves_torchs_own_spread() -> None:
    model = build(InitialisationConfig())
    bound = 1 / 32**0.5
    for cell in cells(model):
        assert all(0.99 * bound < values.abs().max() <= bound for values in cell.parameters())
    assert abs(model.decoder.embedding.weight[1:].std().item() - 1.0) < 0.1


def test_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    one = build(STANDARD).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(4)
    same, other = build(STANDARD).state_dict(), build(STANDARD, seed=0).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["output_layer.weight"], other["output_layer.weight"])
    assert not torch.equal(one["encoder.embedding.weight"], one["decoder.embedding.weight"])  # a stream for each


@pytest.mark.parametrize("config", [InitialisationConfig(), STANDARD], ids=["torch", "standard"])
def test_compared_models_start_alike_where_they_are_alike(config: InitialisationConfig) -> None:
    def model(**parts: Any) -> dict[str, torch.Tensor]:
        return build_model(small(cell=GRUConfig(), initialisation=config, **parts), VOCAB, VOCAB, PAD, 1).state_dict()

    one = model(attention=AdditiveAttentionConfig())
    other = model(attention=GeneralAttentionConfig(), layers=2)
    shared = [name for name in one if name in other and one[name].shape == other[name].shape]
    assert {"output_layer.weight", "encoder.embedding.weight", "decoder.embedding.weight"} <= set(shared)
    assert all(torch.equal(one[name], other[name]) for name in shared)
