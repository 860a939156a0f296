"""The loop of every search: position after position, and now and then the sentences that are done leave the batch.

The one place where search waits for the device. What it returns never depends on when it looked: a sentence that is
done is frozen at once, on the device; leaving only saves work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from seq2seq_lightning.decoding.history import History, Step
from seq2seq_lightning.decoding.protocol import NotANumberError
from seq2seq_lightning.decoding.task import SearchTask

STEPS_BETWEEN_LOOKS = 8
WORTH_LEAVING = 8  # memory is copied when an eighth of the batch is done

Live = TypeVar("Live")  # what a search carries from one position to the next, for the sentences still in the batch
Advance = Callable[[Live, int], tuple[Live, Step]]
"""(live, position from 1) → live after it, with one more token written, and what to remember of the step."""
Release = Callable[[Live, History, int, bool], Live | None]
"""(live, history, position, last) → those that stay, once those that leave are noted; None when nobody stays."""


def drive(live: Live, advance: Advance[Live], release: Release[Live], task: SearchTask) -> History:
    """Search until every sentence has left, at the longest maximum length at the latest."""
    history = History(task.details)
    between_looks = steps_between_looks(task.device)
    for position in range(1, task.limits.longest + 1):
        live, step = advance(live, position)
        history.steps.append(step)
        last = position == task.limits.longest
        if last or position % between_looks == 0:
            remaining = release(live, history, position, last)
            if remaining is None:
                break
            live = remaining
    return history


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
