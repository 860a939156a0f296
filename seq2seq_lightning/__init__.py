"""Recurrent encoder-decoder experiments: sweeps by Hydra, training by Lightning, tables from records.

`seq2seq_lightning.load(run)` and `seq2seq_lightning.train(config)` are the Python interface.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"
__all__ = ["Config", "load", "train"]

_HOMES = {"load": "trained", "train": "run", "Config": "config"}


def __getattr__(name: str) -> Any:
    """Import the interface on first use (PEP 562): `import seq2seq_lightning` alone stays quick, without torch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
