"""How weights begin: a rule per kind of parameter, every parameter covered once.

Matrices of gated cells are drawn gate by gate, so that each gate alone is orthogonal, or Xavier of its own fans.
Every module draws from a stream of its own (seed, "init/<its name>"): a change elsewhere in the model leaves its
weights as they were, and two models that are compared start alike where they are alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.cells.cell import Cell, Kind
from seq2seq_lightning.randomness import generator, seeded


class Preset(Enum):
    """The rules of all kinds that do not name their own."""

    torch = "torch"  # what each of torch's modules does by itself
    standard = "standard"  # Xavier input, orthogonal recurrent, zero bias, forget bias 1, normal embeddings


class Rule(Enum):
    """How a matrix is drawn."""

    torch = "torch"
    xavier = "xavier"  # uniform, Glorot and Bengio 2010
    orthogonal = "orthogonal"  # Saxe et al. 2014
    uniform = "uniform"  # between −uniform_bound and uniform_bound
    normal = "normal"  # of mean 0 and deviation normal_deviation


class BiasRule(Enum):
    """How a bias is drawn."""

    torch = "torch"
    zero = "zero"
    uniform = "uniform"
    normal = "normal"


@dataclass
class InitialisationConfig:
    """How weights begin; a kind set to null does as the preset says."""

    preset: Preset = Preset.torch  # torch | standard
    embedding: Rule | None = None  # torch | xavier | orthogonal | uniform | normal; the pad row is zero always
    input: Rule | None = None  # what reads: cells' input, attention, readout, bridge, projections; by gate
    recurrent: Rule | None = None  # what reads the cell's own state; by gate
    output: Rule | None = None  # the output layer, unless it is tied to an embedding
    bias: BiasRule | None = None  # torch | zero | uniform | normal
    forget_bias: float | None = None  # of LSTMs, over all their bias vectors together; null: as the preset
    uniform_bound: float = 0.08
    normal_deviation: float = 0.1

    def problems(self) -> list[str]:
        """The rules of these fields alone."""
        return [
            f"`model.initialisation.{name}={getattr(self, name)}` must be above 0."
            for name in ("uniform_bound", "normal_deviation")
            if getattr(self, name) <= 0
        ]

    def rule(self, kind: Kind) -> Rule | BiasRule:
        """The rule of a kind, its own or the preset's. Norms, and what acts by units, stay as drawn first."""
        if kind in (Kind.norm, Kind.elementwise):
            return Rule.torch
        return getattr(self, kind.value) or _PRESETS[self.preset][kind]

    @property
    def total_forget_bias(self) -> float | None:
        """What an LSTM's forget biases sum to; None leaves them as drawn."""
        if self.forget_bias is None and self.preset is Preset.standard:
            return 1.0
        return self.forget_bias


_PRESETS: dict[Preset, dict[Kind, Rule | BiasRule]] = {
    Preset.torch: {kind: BiasRule.torch if kind is Kind.bias else Rule.torch for kind in Kind},
    Preset.standard: {
        Kind.embedding: Rule.normal,
        Kind.input: Rule.xavier,
        Kind.recurrent: Rule.orthogonal,
        Kind.output: Rule.xavier,
        Kind.bias: BiasRule.zero,
    },
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a model and how it is to be drawn."""

    name: str
    values: Tensor
    kind: Kind
    blocks: int = 1  # how many matrices are stacked along the first axis


def initialise(model: nn.Module, config: InitialisationConfig, seed: int) -> None:
    """Draw all weights anew. ``model.output_layer`` is the output layer; shared weights follow their embedding."""
    for name, module in model.named_modules():
        if hasattr(module, "reset_parameters"):
            with seeded(seed, f"init/{name}"):
                module.reset_parameters()
    with torch.no_grad():
        for parameter in parameters_by_kind(model):
            stream = generator(seed, f"init/{parameter.name}")
            for gate in parameter.values.chunk(parameter.blocks):
                _draw(gate, config.rule(parameter.kind), config, stream)
        for module in model.modules():
            if isinstance(module, nn.Embedding) and module.padding_idx is not None:
                module.weight[module.padding_idx] = 0.0
            if isinstance(module, Cell) and config.total_forget_bias is not None:
                for index, bias in enumerate(module.forget_biases()):
                    bias.fill_(0.0 if index else config.total_forget_bias)  # all of it in one: the sum is exact


def parameters_by_kind(model: nn.Module) -> Iterator[Parameter]:
    """Every parameter of a model once, with its kind; a module of an unknown sort is an error, never a default."""
    seen: set[int] = set()
    modules = sorted(model.named_modules(), key=lambda named: not isinstance(named[1], nn.Embedding))
    inside_cells = {id(inner) for module in model.modules() if isinstance(module, Cell) for inner in module.modules()}
    for prefix, module in modules:
        if id(module) in inside_cells and not isinstance(module, Cell):
            continue
        for name, kind in _kinds(prefix, module).items():
            values = module.get_parameter(name)
            if id(values) not in seen:
                seen.add(id(values))
                blocks = module.blocks(name) if isinstance(module, Cell) else 1
                yield Parameter(f"{prefix}.{name}", values, kind, blocks)


def _kinds(prefix: str, module: nn.Module) -> dict[str, Kind]:
    if isinstance(module, Cell):
        return module.parameter_kinds()
    own = [name for name, _ in module.named_parameters(recurse=False)]
    if not own:
        return {}
    if isinstance(module, nn.Embedding):
        return {"weight": Kind.embedding}
    if isinstance(module, nn.LayerNorm):
        return dict.fromkeys(own, Kind.norm)
    if isinstance(module, nn.Linear | nn.Conv1d):
        weight = Kind.output if prefix == "output_layer" else Kind.input
        return {name: weight if name == "weight" else Kind.bias for name in own}
    raise TypeError(f"no initialisation is known for the parameters {own} of {prefix} ({type(module).__name__})")


def _draw(values: Tensor, rule: Rule | BiasRule, config: InitialisationConfig, stream: torch.Generator) -> None:
    match rule:
        case Rule.torch | BiasRule.torch:
            return
        case Rule.xavier:
            nn.init.xavier_uniform_(values, generator=stream)
        case Rule.orthogonal:
            nn.init.orthogonal_(values, generator=stream)
        case Rule.uniform | BiasRule.uniform:
            nn.init.uniform_(values, -config.uniform_bound, config.uniform_bound, generator=stream)
        case Rule.normal | BiasRule.normal:
            nn.init.normal_(values, 0.0, config.normal_deviation, generator=stream)
        case BiasRule.zero:
            nn.init.zeros_(values)
