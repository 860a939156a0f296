from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from seq2seq_lightning.data.example import EncodedSplit


@dataclass(frozen=True)
class Marks:
    pad: int = 0
    bos: int = 1
    eos: int = 2


@pytest.fixture(scope="session")
def marks() -> Marks:
    return Marks()


@pytest.fixture(scope="session")
def random_split() -> Callable[..., EncodedSplit]:
    def build(rows: int, longest: int = 9, seed: int = 0) -> EncodedSplit:
        """Rows of 1 to ``longest`` ids from 4 to 99 on both sides."""
        random = np.random.default_rng(seed)
        lengths = random.integers(1, longest + 1, size=(2, rows))
        offsets = np.concatenate([np.zeros((2, 1), np.int64), lengths.cumsum(axis=1)], axis=1)
        source, target = (random.integers(4, 100, size=side[-1]).astype(np.int32) for side in offsets)
        return EncodedSplit(source, offsets[0], target, offsets[1])

    return build
