"""What happens when whoever reads our output stops reading: `seq2seq-train --help | head`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

BROKEN_PIPE = 141  # as of a process ended by SIGPIPE


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """End quietly once standard output is read no more; what is left in the buffer has nobody to go to."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(BROKEN_PIPE)
