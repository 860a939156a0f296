"""No bridge: the decoder starts at its own initial state."""

from __future__ import annotations

from dataclasses import dataclass

from seq2seq_lightning.models.bridges.bridge import Bridge, BridgeConfig, BridgeSizes
from seq2seq_lightning.models.encoder import Encoded
from seq2seq_lightning.models.stack import Stack
from seq2seq_lightning.models.state import CellState


@dataclass
class ZeroBridgeConfig(BridgeConfig):
    """Start the decoder from its own initial state."""

    name: str = "zero"
    unconditional: bool = False  # allow it with `model.decoder.context=initial`, a decoder that sees no source at all

    def leaves_blind(self) -> bool:
        """See ``BridgeConfig.leaves_blind``."""
        return not self.unconditional


class ZeroBridge(Bridge):
    """The decoder's own initial state."""

    def __init__(self, config: BridgeConfig, sizes: BridgeSizes, names: tuple[str, ...]) -> None:
        super().__init__()

    def forward(self, encoded: Encoded, stack: Stack) -> tuple[CellState, ...]:
        """See ``Bridge.forward``."""
        return stack.initial_state(encoded.states.shape[0], encoded.states)
