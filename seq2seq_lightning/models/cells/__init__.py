"""Recurrent cells: one line maps each config to the cell it builds."""

from __future__ import annotations

from seq2seq_lightning.models.cells.cell import Cell, CellConfig
from seq2seq_lightning.models.cells.gru import GRU, GRUConfig
from seq2seq_lightning.models.cells.lngru import LNGRU, LNGRUConfig
from seq2seq_lightning.models.cells.lnlstm import LNLSTM, LNLSTMConfig
from seq2seq_lightning.models.cells.lstm import LSTM, LSTMConfig
from seq2seq_lightning.models.cells.mingru import MinGRU, MinGRUConfig
from seq2seq_lightning.models.cells.minlstm import MinLSTM, MinLSTMConfig
from seq2seq_lightning.models.cells.mlstm import MLSTM, MLSTMConfig
from seq2seq_lightning.models.cells.rnn import RNN, RNNConfig
from seq2seq_lightning.models.cells.slstm import SLSTM, SLSTMConfig
from seq2seq_lightning.models.cells.sru import SRU, SRUConfig
from seq2seq_lightning.plugins import Table

CELLS: Table[type[CellConfig], type[Cell]] = Table(
    "cells",
    CellConfig,
    {
        RNNConfig: RNN,
        GRUConfig: GRU,
        LSTMConfig: LSTM,
        LNGRUConfig: LNGRU,
        LNLSTMConfig: LNLSTM,
        SRUConfig: SRU,
        MinGRUConfig: MinGRU,
        MinLSTMConfig: MinLSTM,
        SLSTMConfig: SLSTM,
        MLSTMConfig: MLSTM,
    },
)


def build_cell(config: CellConfig, input_size: int, hidden_size: int) -> Cell:
    """The cell that a config describes."""
    return CELLS[type(config)](config, input_size, hidden_size)
