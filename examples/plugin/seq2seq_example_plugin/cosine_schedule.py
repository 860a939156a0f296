"""A feeding schedule: half a cosine wave from `start` to `end`, flat at both ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

from seq2seq_lightning.teacher_forcing.schedules import EndPointsConfig


@dataclass
class CosineConfig(EndPointsConfig):
    """By end points alone; `start`, `end`, `over`, `unit` and their checks are the parent's."""

    name: str = "cosine"  # teacher_forcing=cosine

    def constants(self) -> dict[str, float | None]:
        """A formula without constants."""
        return {}


def cosine(config: CosineConfig, i: float) -> float:
    """end + (start − end)·(1 + cos(π·p))/2, where p = min(i/over, 1); i counts in the unit asked for."""
    assert config.start is not None and config.end is not None and config.over is not None  # the parent completed them
    progress = min(i / config.over, 1.0)
    weight = (1 + math.cos(math.pi * progress)) / 2
    return config.start * weight + config.end * (1 - weight)


SCHEDULES = {CosineConfig: cosine}
