"""A launcher's process whose sweep was killed ends with the job it is at.

Nobody will read its answer or give it another job, but nobody tells it: joblib's workers then wait for ever, because
each holds both ends of the pipes that they share, and keep their memory and the sweep's output open.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_AT_WORK = threading.Lock()


@contextmanager
def ending_with_sweep(seconds: float = 1.0) -> Iterator[None]:
    """Around a job, however many a process does: once the process that started this one is gone, leave after the job.

    Does nothing where multiprocessing has not started this process, as in the sweep's own.
    """
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        yield
        return
    _guard(parent.pid, seconds)
    with _AT_WORK:
        yield


@cache
def _guard(parent: int, seconds: float) -> None:
    threading.Thread(target=_leave_after, args=(parent, seconds), daemon=True).start()


def _leave_after(parent: int, seconds: float) -> None:
    while os.getppid() == parent:
        time.sleep(seconds)
    with _AT_WORK:
        os._exit(1)
