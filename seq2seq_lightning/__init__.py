"""Recurrent encoder-decoder experiments: sweeps by Hydra, training by Lightning, tables from records."""

__version__ = "0.1.0"
