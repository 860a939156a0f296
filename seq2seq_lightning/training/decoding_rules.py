"""What a decoding needs of the model and of the metrics, checked without building either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seq2seq_lightning.decoding import DecodingConfig, MBRConfig
from seq2seq_lightning.training.utilities import utility_problem


@dataclass(frozen=True)
class SearchedModel:
    """What a search may need to know of the model it searches."""

    attends: bool  # its steps give attention weights


def decoding_problems(decoding: DecodingConfig, key: str, model: SearchedModel) -> Iterator[str]:
    """What this model cannot do of a decoding; key: where the decoding stands, `decoding` or `validation.decoding`."""
    if getattr(decoding, "beta", 0.0) and not model.attends:
        yield f"{key}.beta needs attention weights: set model.decoder.context=attention, or {key}.beta=0."
    problem = utility_problem(decoding, key)
    if problem is not None:
        yield problem
    if isinstance(decoding, MBRConfig):
        yield from decoding_problems(decoding.candidates, f"{key}.candidates", model)
