"""What an output may not be: each constraint writes -inf over the log-probabilities of the tokens it forbids."""

from __future__ import annotations

from seq2seq_lightning.decoding.constraints.constraint import Constraint
from seq2seq_lightning.decoding.constraints.length import LengthLimits

__all__ = ["Constraint", "LengthLimits"]
