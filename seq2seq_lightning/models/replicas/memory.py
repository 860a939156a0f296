"""What the allocator does with memory between two updates."""

from __future__ import annotations

import torch

MOST = 31 * 2**20  # glibc heeds no block above 32 MiB


def keep_freed_memory() -> None:
    """Let the process keep some 60 MiB that it has freed, instead of giving it back after each update.

    By default glibc gives back what is free at the end of the heap beyond twice the largest block that was mapped by
    itself and freed (mallopt(3), M_MMAP_THRESHOLD, M_TRIM_THRESHOLD). The gradients of several replicas exceed it, and
    the system then clears page after page again for the next update. So one large block is mapped and freed; it is
    never touched, and where another allocator is at work nothing comes of it.
    """
    torch.empty(MOST, dtype=torch.uint8)  # freed at once
