"""Where tables are printed."""

from __future__ import annotations

import os
import sys

from rich.console import Console

_UNFOLDED = 10_000


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the command how to end; rich would end it with status 1."""
        raise


def console() -> Console:
    """Standard output: as wide as the terminal, and where it is none, wide enough that no path is folded."""
    return _Console() if sys.stdout.isatty() or "COLUMNS" in os.environ else _Console(width=_UNFOLDED)
