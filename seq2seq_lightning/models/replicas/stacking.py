"""From several models of one form to their weights in one block of memory, and a model that computes with all of them.

Row r of the block holds all that the optimiser changes of replica r, so that a norm per replica, a clipping and an
update are a few operations over the whole block. Parameters, and their gradients, are views of it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.cells.fused import FusedCell
from seq2seq_lightning.models.replicas.cells import StackedCell
from seq2seq_lightning.models.replicas.modules import StackedEmbedding, StackedLinear, StackedNorm
from seq2seq_lightning.models.seq2seq import Seq2Seq


@dataclass(frozen=True)
class Place:
    """Where a parameter lies in a row of the block."""

    begin: int
    end: int
    shape: torch.Size  # of one replica's
    is_turned: bool  # matrices that are multiplied from the left are stored transposed

    def view(self, block: Tensor) -> Tensor:
        """The parameter of all replicas in a block: (replicas, *shape)."""
        shape = tuple(reversed(self.shape)) if self.is_turned else tuple(self.shape)
        found = block[:, self.begin : self.end].view(len(block), *shape)
        return found.transpose(1, 2) if self.is_turned else found


class Block:
    """The weights of all replicas: values and gradients (replicas, size), and where each parameter lies in them."""

    def __init__(self, models: Sequence[Seq2Seq]) -> None:
        first = models[0]
        whole = {id(each.weight) for each in first.modules() if isinstance(each, nn.Embedding)}
        self.places: dict[str, Place] = {}
        begin = 0
        for name, parameter in first.named_parameters():
            if parameter.requires_grad:
                is_turned = parameter.dim() == 2 and id(parameter) not in whole
                self.places[name] = Place(begin, begin + parameter.numel(), parameter.shape, is_turned)
                begin += parameter.numel()
        like = next(first.parameters())
        self.values = nn.Parameter(like.new_zeros(len(models), begin))
        self.gradient = torch.zeros_like(self.values.data)
        self.fixed = {
            name: nn.Parameter(torch.stack([model.get_parameter(name).detach() for model in models]), False)
            for name, parameter in first.named_parameters()
            if not parameter.requires_grad
        }
        for replica, model in enumerate(models):
            self.write(replica, dict(model.named_parameters()))

    @torch.no_grad()
    def write(self, replica: int, weights: Mapping[str, Tensor]) -> None:
        """Give a replica these weights."""
        for name, place in self.places.items():
            place.view(self.values.data)[replica].copy_(weights[name])
        for name, fixed in self.fixed.items():
            fixed[replica].copy_(weights[name])

    def read(self, replica: int, block: Tensor | None = None) -> dict[str, Tensor]:
        """A replica's weights by name, or what another block says of each of them; copies."""
        source = self.values.data if block is None else block
        return {name: place.view(source)[replica].contiguous().clone() for name, place in self.places.items()}

    def parameters(self) -> dict[str, nn.Parameter]:
        """Stacked parameters by name, views of the block."""
        return self.fixed | {name: nn.Parameter(place.view(self.values.data)) for name, place in self.places.items()}

    def gradients(self) -> list[Tensor]:
        """The gradient of each stacked parameter that learns, views of the block's."""
        return [place.view(self.gradient) for place in self.places.values()]


def stacked(model: Seq2Seq, parameters: Mapping[str, nn.Parameter]) -> Seq2Seq:
    """The model with these stacked parameters in place of its own; its code is the same, its rows those of all."""
    names = {id(each): name for name, each in model.named_parameters()}
    ids = {name: names[id(each)] for name, each in model.named_parameters(remove_duplicate=False)}
    found = copy.deepcopy(model)
    for path, module in list(_outermost(found, "")):
        own = {name: parameters[ids[f"{path}.{name}"]] for name, _ in module.named_parameters(remove_duplicate=False)}
        parent, _, attribute = path.rpartition(".")
        setattr(found.get_submodule(parent), attribute, _stacked(module, own))
    return found


def _outermost(module: nn.Module, path: str) -> Iterator[tuple[str, nn.Module]]:
    """The modules that have a stacked form, with their paths; nothing else may hold parameters."""
    for name, child in module.named_children():
        inner = f"{path}.{name}" if path else name
        if isinstance(child, nn.Linear | nn.Embedding | nn.LayerNorm | FusedCell):
            yield inner, child
        else:
            assert not list(child.parameters(recurse=False)), f"{type(child).__name__} has no stacked form"
            yield from _outermost(child, inner)


def _stacked(module: nn.Module, own: Mapping[str, nn.Parameter]) -> nn.Module:
    match module:
        case nn.Linear():
            return StackedLinear(own["weight"], own.get("bias"))
        case nn.Embedding():
            assert module.padding_idx is not None
            return StackedEmbedding(own["weight"], module.padding_idx)
        case nn.LayerNorm():
            return StackedNorm(own["weight"], own["bias"], module.eps)
        case FusedCell():
            return StackedCell(module, own)
    raise AssertionError(type(module))
