"""What every bridge does: turn where the encoder stopped into where the decoder starts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from torch import Tensor, nn

from seq2seq_lightning.models.encoder import Encoded
from seq2seq_lightning.models.stack import Stack
from seq2seq_lightning.models.state import CellState


class BridgeSource(Enum):
    """What of the encoder a bridge takes."""

    last = "last"  # each layer's final state to the decoder's layer of the same number
    top = "top"  # the last layer's final state to every layer
    mean = "mean"  # the mean encoder state over real positions, to every layer and every named state
    max = "max"  # the largest value of each unit over real positions, likewise


@dataclass(frozen=True)
class BridgeSizes:
    """The two ends of a bridge; with two directions a final state is combined as the encoder's layers are."""

    final_sizes: tuple[int, ...]  # of the encoder's final states, per layer
    states_size: int  # of the encoder states
    direction_size: int  # of one direction of the encoder
    decoder_size: int
    decoder_layers: int

    def taken(self, source: BridgeSource) -> tuple[int, ...]:
        """The size of what each layer of the decoder is given."""
        match source:
            case BridgeSource.last:
                return self.final_sizes
            case BridgeSource.top:
                return self.final_sizes[-1:] * self.decoder_layers
            case BridgeSource.mean | BridgeSource.max:
                return (self.states_size,) * self.decoder_layers

    def written(self, size: int) -> str:
        """A size on the encoder's side as a message shows it."""
        is_joined = size not in self.final_sizes
        if is_joined:
            return f"{size} (its states, joined by `model.encoder.residual=concat`)"
        return f"{size} ({self.direction_size} × 2 directions)" if size == 2 * self.direction_size else f"{size}"


@dataclass
class BridgeConfig:
    """The choice of a bridge; each bridge has its own subclass."""

    name: str = "bridge"  # the option under `model/bridge`

    def problems(self, sizes: BridgeSizes) -> list[str]:
        """What makes this bridge impossible between these two ends."""
        del sizes
        return []

    def leaves_blind(self) -> bool:
        """Whether nothing of the source crosses, without this having been asked for by name."""
        return False

    def takes_states(self) -> bool:
        """Whether it reads the encoder states rather than the final ones."""
        return False


@dataclass
class SourcedBridgeConfig(BridgeConfig):
    """A bridge that takes something of the encoder."""

    source: BridgeSource = BridgeSource.top  # last (layer by layer) | top (to all) | mean, max (of real positions)

    def problems(self, sizes: BridgeSizes) -> list[str]:
        """Layer by layer needs as many layers on both sides."""
        layers = len(sizes.final_sizes)
        if self.source is not BridgeSource.last or layers == sizes.decoder_layers:
            return []
        return [
            f"`model.bridge.source=last` hands over layer by layer, but the encoder has {layers} and the decoder "
            f"{sizes.decoder_layers}. Set `model.decoder.layers={layers}` or choose `model.bridge.source=top`."
        ]

    def takes_states(self) -> bool:
        """See ``BridgeConfig.takes_states``."""
        return self.source in (BridgeSource.mean, BridgeSource.max)


class Bridge(nn.Module):
    """Encoder final state → decoder initial state."""

    def forward(self, encoded: Encoded, stack: Stack) -> tuple[CellState, ...]:
        """Where each layer of the decoder's stack starts: one dict of (batch, hidden_size) tensors per layer."""
        raise NotImplementedError


class SourcedBridge(Bridge):
    """A bridge that fills the states its decoder's cells name, and leaves the others at their own initial value.

    A state that the encoder's cell does not have (an LSTM's ``cell`` after a GRU) is filled from ``hidden``.
    """

    def __init__(self, config: SourcedBridgeConfig, sizes: BridgeSizes, names: tuple[str, ...]) -> None:
        super().__init__()
        self.source, self.names, self.depth = config.source, names, sizes.decoder_layers

    def forward(self, encoded: Encoded, stack: Stack) -> tuple[CellState, ...]:
        """See ``Bridge.forward``."""
        filled = (self._fill(layer, given) for layer, given in enumerate(self._given(encoded)))
        return tuple(layer.cell.start(states) for layer, states in zip(stack.layers, filled, strict=True))

    def carry(self, value: Tensor, layer: int, name: str) -> Tensor:
        """What becomes of one state on the way. value: (batch, encoder size)."""
        raise NotImplementedError

    def _given(self, encoded: Encoded) -> tuple[CellState, ...]:
        match self.source:
            case BridgeSource.last:
                return encoded.final_state
            case BridgeSource.top:
                return encoded.final_state[-1:] * self.depth
            case BridgeSource.mean:
                return ({"hidden": encoded.mean},) * self.depth
            case BridgeSource.max:
                return ({"hidden": encoded.maximum},) * self.depth

    def _fill(self, layer: int, given: CellState) -> CellState:
        return {name: self.carry(given.get(name, given["hidden"]), layer, name) for name in self.names}
