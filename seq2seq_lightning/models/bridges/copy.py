"""The decoder starts exactly where the encoder stopped (Sutskever et al. 2014)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from seq2seq_lightning.models.bridges.bridge import BridgeSizes, SourcedBridge, SourcedBridgeConfig


@dataclass
class CopyBridgeConfig(SourcedBridgeConfig):
    """Copy the encoder's final state."""

    name: str = "copy"

    def problems(self, sizes: BridgeSizes) -> list[str]:
        """Copying needs equal sizes."""
        found = super().problems(sizes)
        taken = sorted(set(sizes.taken(self.source)))
        if len(taken) > 1:
            found.append(
                f"`model/bridge=copy` needs equal sizes, but the encoder's layers end with "
                f"{' and '.join(sizes.written(size) for size in taken)}. Set `model.encoder.combine=project` or choose "
                f"`model/bridge=dense`."
            )
        elif taken[0] != sizes.decoder_size:
            found.append(
                f"`model/bridge=copy` needs equal sizes, but the encoder ends with {sizes.written(taken[0])} and the "
                f"decoder starts with {sizes.decoder_size}. Set `model.decoder.hidden_size={taken[0]}` or choose "
                f"`model/bridge=dense`."
            )
        return found


class CopyBridge(SourcedBridge):
    """The states as they are."""

    def carry(self, value: Tensor, layer: int, name: str) -> Tensor:
        """See ``SourcedBridge.carry``."""
        return value
