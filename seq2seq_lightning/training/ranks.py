"""What one process of several decides for all, before any process group exists."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from torch.distributed import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

_POLL_SECONDS = 0.05  # waiting in Python, so that a signal is heard


def is_first_rank() -> bool:
    """Whether this process writes: rank 0, or the only one."""
    return int(os.environ.get("RANK", "0")) == 0


def told_by_first_rank(question: str, decide: Callable[[], bool]) -> bool:
    """What the first rank decides, on every rank; `decide` is called by the first alone.

    Each rank looking for itself could see a directory before and after the others have changed it. The answer goes
    through torchrun's store; the others wait for as long as the first one needs. Each question is asked once.
    """
    return text_from_first_rank(question, lambda: str(decide())) == "True"


def text_from_first_rank(question: str, make: Callable[[], str]) -> str:
    """A text that the first rank alone makes, on every rank; as ``told_by_first_rank``."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return make()
    return _through(_store(), question, make)


def _through(store: Store, question: str, make: Callable[[], str]) -> str:
    if is_first_rank():
        answer = make()
        store.set(question, answer)
        return answer
    while not store.check([question]):
        time.sleep(_POLL_SECONDS)
    return store.get(question).decode()


def _store() -> Store:
    """torchrun's, under a prefix of our own: process groups come to the same one later."""
    store, _, _ = next(rendezvous("env://"))
    return PrefixStore("seq2seq_lightning", store)
