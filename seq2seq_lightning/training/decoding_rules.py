"""What a decoding needs of the model and of the metrics, checked without building either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seq2seq_lightning.decoding import DecodingConfig, ForcedLength, MBRConfig
from seq2seq_lightning.training.utilities import utility_problem


@dataclass(frozen=True)
class SearchedModel:
    """What a search may need to know of the model it searches."""

    attends: bool  # its steps give attention weights
    ends: bool = True  # it has learnt to write eos


def decoding_problems(decoding: DecodingConfig, key: str, model: SearchedModel) -> Iterator[str]:
    """What this model cannot do of a decoding; key: where the decoding stands, `decoding` or `validation.decoding`."""
    if getattr(decoding, "beta", 0.0) and not model.attends:
        yield f"{key}.beta needs attention weights: set model.decoder.context=attention, or {key}.beta=0."
    if decoding.eos_at_maximum and not model.ends:
        yield f"{key}.eos_at_maximum needs targets with eos: set text.target.eos=true, or {key}.eos_at_maximum=false."
    if decoding.eos_at_maximum and decoding.forced_length is ForcedLength.reference:
        yield f"{key}.eos_at_maximum has no effect with {key}.forced_length=reference, which forces it. Leave it out."
    problem = utility_problem(decoding, key)
    if problem is not None:
        yield problem
    if isinstance(decoding, MBRConfig):
        yield from decoding_problems(decoding.candidates, f"{key}.candidates", model)
