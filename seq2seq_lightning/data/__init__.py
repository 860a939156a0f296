"""From a task's texts to planned, padded batches."""

from __future__ import annotations
