"""What a decoding needs of the model and of the metrics, checked without building either."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seq2seq_lightning.decoding import DecodingConfig, ForcedLength, MBRConfig
from seq2seq_lightning.training.unknown_words import replaces_unknown
from seq2seq_lightning.training.utilities import utility_problem


@dataclass(frozen=True)
class SearchedModel:
    """What a search may need to know of the model it searches."""

    attends: bool  # its steps give attention weights
    copies: bool = False  # it writes words of the source by itself
    pyramid: int = 0  # how often its encoder joins pairs of positions
    ends: bool = True  # it has learnt to write eos


def decoding_problems(decoding: DecodingConfig, key: str, model: SearchedModel) -> Iterator[str]:
    """What this model cannot do of a decoding; key: where the decoding stands, `decoding` or `validation.decoding`."""
    if getattr(decoding, "beta", 0.0) and not model.attends:
        yield f"{key}.beta needs attention weights: set model.decoder.context=attention, or {key}.beta=0."
    if decoding.eos_at_maximum and not model.ends:
        yield f"{key}.eos_at_maximum needs targets with eos: set text.target.eos=true, or {key}.eos_at_maximum=false."
    if decoding.eos_at_maximum and decoding.forced_length is ForcedLength.reference:
        yield f"{key}.eos_at_maximum has no effect with {key}.forced_length=reference, which forces it. Leave it out."
    if replaces_unknown(decoding):
        yield from _replacement_problems(f"{key}.replace_unknown", model)
    problem = utility_problem(decoding, key)
    if problem is not None:
        yield problem
    if isinstance(decoding, MBRConfig):
        yield from decoding_problems(decoding.candidates, f"{key}.candidates", model)


def _replacement_problems(key: str, model: SearchedModel) -> Iterator[str]:
    if model.copies:
        yield (
            f"{key}=copy changes little and hides much, because a model with model.decoder.copy writes words of the "
            f"source by itself. Set {key}=none, or model.decoder.copy=none."
        )
    if not model.attends:
        yield f"{key}=copy needs attention weights: set model.decoder.context=attention, or {key}=none."
    if model.pyramid:
        yield (
            f"{key}=copy needs one encoder state for each source word, and with model.encoder.pyramid={model.pyramid} "
            f"a state stands for several. Set {key}=none, or model.encoder.pyramid=0."
        )
