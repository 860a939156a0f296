"""When a search asks the device how far it is, and which sentences then leave the batch.

The one place where search waits for the device. What it returns never depends on when it looked: a sentence that is
done is frozen at once, on the device; leaving only saves work.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seq2seq_lightning.decoding.protocol import NotANumberError

STEPS_BETWEEN_LOOKS = 8
WORTH_LEAVING = 8  # memory is copied when an eighth of the batch is done


class Departure(NamedTuple):
    """Rows that leave and rows that stay, both ascending."""

    leaving: Tensor
    staying: Tensor


def steps_between_looks(device: torch.device) -> int:
    """How many positions pass between two looks: on a CPU there is nothing to wait for."""
    return 1 if device.type == "cpu" else STEPS_BETWEEN_LOOKS


def departure(done: Tensor, totals: Tensor, sentences: Tensor, position: int, last: bool) -> Departure | None:
    """Who leaves now, or None while too few are done to be worth copying the others.

    done: (live,) bool; totals: (live, width) log-probabilities; sentences: (live,) places in the batch; last: no
    position follows, all must leave. Raises NotANumberError: a NaN, once added, stays in the totals.
    """
    is_broken = totals.isnan().any(1)
    done_count, broken_count = torch.stack([done.sum(), is_broken.sum()]).tolist()
    if broken_count:
        raise NotANumberError(sentences[is_broken].tolist(), position)
    if last:
        done = torch.ones_like(done)
    elif done_count < len(done) and done_count * WORTH_LEAVING < len(done):
        return None
    return Departure(done.nonzero()[:, 0], (~done).nonzero()[:, 0])
