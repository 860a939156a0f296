"""Training texts cut into subwords anew at each update, by chance: BPE-dropout and subword regularization.

Only training sees this: validation and tests are cut in the one way that a tokenizer prefers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seq2seq_lightning.data.example import EncodedSplit
from seq2seq_lightning.randomness import stream_seed
from seq2seq_lightning.text.codec import Codec, SourceCodec, TargetCodec

Flat = tuple[NDArray[np.int32], NDArray[np.int64]]


@dataclass(frozen=True)
class Recutting:
    """How the two sides of a training are cut: a pure function of (seed, side, update, place in the global batch)."""

    source: SourceCodec
    target: TargetCodec
    seed: int

    @staticmethod
    def asked_for(source: SourceCodec, target: TargetCodec, seed: int) -> Recutting | None:
        """None where no tokenizer cuts by chance."""
        by_chance = source.cuts_by_chance or target.cuts_by_chance
        return Recutting(source, target, seed) if by_chance else None

    def __call__(self, split: EncodedSplit, rows: NDArray[np.int64], update: int) -> EncodedSplit:
        """The rows of a global batch alone, cut as at this update: the one at place p of the batch is row p."""
        source = self._cut(self.source, "source", split.source_ids, split.source_offsets, rows, update)
        target = self._cut(self.target, "target", split.target_ids, split.target_offsets, rows, update)
        return EncodedSplit(*source, *target)

    def _cut(
        self,
        codec: Codec,
        side: str,
        ids: NDArray[np.integer],
        offsets: NDArray[np.int64],
        rows: NDArray[np.int64],
        update: int,
    ) -> Flat:
        kept = [ids[offsets[row] : offsets[row + 1]].tolist() for row in rows]
        if codec.cuts_by_chance:
            stream = f"subwords of the {side}"
            kept = [codec.recut(row, stream_seed(self.seed, stream, update, place)) for place, row in enumerate(kept)]
        return _flat(kept)


def _flat(rows: Sequence[Sequence[int]]) -> Flat:
    ends = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    return np.array([index for row in rows for index in row], dtype=np.int32), ends
