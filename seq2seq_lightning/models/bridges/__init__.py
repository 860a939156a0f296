"""Bridges: one line maps each config to the hand-over it builds."""

from __future__ import annotations

from seq2seq_lightning.models.bridges.bridge import Bridge, BridgeConfig, BridgeSizes
from seq2seq_lightning.models.bridges.copy import CopyBridge, CopyBridgeConfig
from seq2seq_lightning.models.bridges.dense import DenseBridge, DenseBridgeConfig
from seq2seq_lightning.models.bridges.zero import ZeroBridge, ZeroBridgeConfig
from seq2seq_lightning.plugins import Table

BRIDGES: Table[type[BridgeConfig], type[Bridge]] = Table(
    "bridges",
    BridgeConfig,
    {
        ZeroBridgeConfig: ZeroBridge,
        CopyBridgeConfig: CopyBridge,
        DenseBridgeConfig: DenseBridge,
    },
)


def build_bridge(config: BridgeConfig, sizes: BridgeSizes, names: tuple[str, ...]) -> Bridge:
    """The bridge that a config describes, between these sizes, filling the named states of the decoder's cells."""
    return BRIDGES[type(config)](config, sizes, names)
