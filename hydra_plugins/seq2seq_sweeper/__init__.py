"""Registers `hydra/sweeper=seq2seq`."""

from hydra_plugins.seq2seq_sweeper.sweeper import CheckingSweeper

__all__ = ["CheckingSweeper"]
