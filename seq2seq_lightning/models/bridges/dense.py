"""A learned map from where the encoder stopped to where the decoder starts (Bahdanau et al. 2015, A.2.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import torch
from torch import Tensor, nn

from seq2seq_lightning.models.bridges.bridge import BridgeSizes, SourcedBridge, SourcedBridgeConfig


class BridgeActivation(Enum):
    """What follows the linear map."""

    tanh = "tanh"
    relu = "relu"
    none = "none"


_ACTIVATIONS: dict[BridgeActivation, Callable[[Tensor], Tensor]] = {
    BridgeActivation.tanh: torch.tanh,
    BridgeActivation.relu: torch.relu,
    BridgeActivation.none: nn.Identity(),
}


@dataclass
class DenseBridgeConfig(SourcedBridgeConfig):
    """A linear map and an activation, separate for every layer of the decoder and every state of its cell."""

    name: str = "dense"
    activation: BridgeActivation = BridgeActivation.tanh  # tanh | relu | none


class DenseBridge(SourcedBridge):
    """act(W x + b) with a W of its own for each decoder layer and each of hidden, cell, …"""

    def __init__(self, config: DenseBridgeConfig, sizes: BridgeSizes, names: tuple[str, ...]) -> None:
        super().__init__(config, sizes, names)
        self.activate = _ACTIVATIONS[config.activation]
        self.maps = nn.ModuleList(
            nn.ModuleDict({name: nn.Linear(size, sizes.decoder_size) for name in names})
            for size in sizes.taken(config.source)
        )

    def carry(self, value: Tensor, layer: int, name: str) -> Tensor:
        """See ``SourcedBridge.carry``."""
        maps = self.maps[layer]
        assert isinstance(maps, nn.ModuleDict)
        return self.activate(maps[name](value))
