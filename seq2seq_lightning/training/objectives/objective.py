"""What training minimises: the part that every objective shares."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from seq2seq_lightning.losses import TokenLosses


@dataclass
class ObjectiveConfig:
    """What every objective shares: nothing but the name."""

    name: str = "maximum_likelihood"


class Objective(ABC):
    """A sum of losses over one micro-batch; it is divided once, by the global label count, before the update."""

    @abstractmethod
    def losses(
        self,
        readout: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        labels: Tensor,
        pad_id: int,
        count_correct: bool = False,
    ) -> TokenLosses:
        """Compare the decoder's readout with the labels.

        readout: (batch, target_time, size), weight: (vocab, size), bias: (vocab,), labels: (batch, target_time).
        """
