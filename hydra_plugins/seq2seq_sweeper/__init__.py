"""Registers `hydra/sweeper=seq2seq`, and `hydra/sweeper=optuna` where its extra is installed."""

from hydra_plugins.seq2seq_sweeper.optuna_sweeper import OptunaSweeper
from hydra_plugins.seq2seq_sweeper.sweeper import CheckingSweeper

__all__ = ["CheckingSweeper", "OptunaSweeper"]
