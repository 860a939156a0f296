"""Tells a decoder's behaviour under gold tokens from its behaviour under its own (Lamb et al. 2016, §2.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from seq2seq_lightning.errors import ConfigurationError
from seq2seq_lightning.randomness import seeded


@dataclass
class DiscriminatorConfig:
    """A bidirectional GRU over a sequence of readouts, a small network on each of its outputs, and their mean."""

    hidden_size: int = 64  # per direction, and of the network on top
    learning_rate: float = 1e-3  # the base that the learning-rate schedule multiplies, as for the model
    weight_decay: float = 0.0
    clip_norm: float | None = 1.0  # largest norm of the discriminator's own gradients; null: no clipping
    learns_below: float = 0.99  # it is trained while its accuracy at the update before was below this
    felt_above: float = 0.75  # the model feels it while its accuracy at the update before was above this

    def __post_init__(self) -> None:
        """Refuse what would not train."""
        rules = {
            "hidden_size": (self.hidden_size >= 1, "at least 1"),
            "learning_rate": (0 < self.learning_rate < math.inf, "a number above 0"),
            "weight_decay": (self.weight_decay >= 0, "at least 0"),
            "clip_norm": (self.clip_norm is None or self.clip_norm > 0, "above 0, or null for no clipping"),
            "learns_below": (0.5 < self.learns_below <= 2, "above 0.5 (2.0: it always learns)"),
            "felt_above": (-1 <= self.felt_above < 1, "an accuracy below 1 (-1.0: it is always felt)"),
        }
        for key, (holds, allowed) in rules.items():
            if not holds:
                raise ConfigurationError(
                    f"objective.discriminator.{key} is {getattr(self, key)}; it must be {allowed}."
                )


class Discriminator(nn.Module):
    """One logit per sequence: above zero where it looks teacher-forced."""

    def __init__(self, size: int, hidden_size: int) -> None:
        super().__init__()
        self.rnn = nn.GRU(size, hidden_size, batch_first=True, bidirectional=True)
        self.judge = nn.Sequential(nn.Linear(2 * hidden_size, hidden_size), nn.ReLU(), nn.Linear(hidden_size, 1))

    def forward(self, behaviour: Tensor, lengths: Tensor) -> Tensor:
        """behaviour: (rows, time, size), not looked at behind the lengths (rows,), on the CPU. Returns (rows,)."""
        packed = pack_padded_sequence(behaviour, lengths, batch_first=True, enforce_sorted=False)
        outputs, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=behaviour.shape[1])
        real = (torch.arange(behaviour.shape[1]) < lengths.unsqueeze(1)).to(behaviour.device)
        return (self.judge(outputs).squeeze(2) * real).sum(1) / real.sum(1)


def build_discriminator(config: DiscriminatorConfig, size: int, seed: int) -> Discriminator:
    """For behaviours of a size; torch's own initial weights, drawn from the seed's stream of this name."""
    with seeded(seed, "discriminator"):
        return Discriminator(size, config.hidden_size)
