"""One number with what makes it comparable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seq2seq_lightning.errors import DataError

References = Sequence[tuple[str, ...]]
"""Per sentence one reference or more."""


@dataclass(frozen=True)
class Score:
    """A corpus score on the scale it is reported on (percentages: 0 to 100)."""

    value: float
    signature: str | None  # how it was computed: equal signatures are comparable
    n: int  # sentences scored


def check_corpus(hypotheses: Sequence[str], references: References) -> None:
    """Refuse corpora that no metric can score."""
    if len(hypotheses) != len(references):
        raise DataError(
            f"{len(hypotheses)} hypotheses for {len(references)} references: every line needs its counterpart. "
            "Check that both files come from the same split and none was cut short."
        )
    if not hypotheses:
        raise DataError("There is nothing to score: the corpus has no sentences.")
    for place, several in enumerate(references):
        if isinstance(several, str):
            raise TypeError(f"references[{place}] is a string; give a tuple of references per sentence")
        if not several:
            raise DataError(f"Sentence {place + 1} has no reference. Remove it, or add a reference.")
