"""What is asked of outputs in words, as the ids that search knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from seq2seq_lightning.decoding import Automaton, Requests, trie
from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.text.codec import TargetCodec
from seq2seq_lightning.text.copying import Copying
from seq2seq_lightning.text.vocabulary import Vocabulary

Encode = Callable[[str], list[int]]


@dataclass(frozen=True)
class Asked:
    """What is asked of one output, as text."""

    prefix: str = ""  # what it begins with
    required: tuple[str, ...] = ()  # phrases it must contain
    allowed: tuple[str, ...] | None = None  # the outputs there may be; None: any


NOTHING_ASKED = Asked()


def banned_ids(phrases: Sequence[str], target: TargetCodec) -> list[list[int]]:
    """The ids of each phrase of `decoding.banned`, cut as the target side cuts text; `<unk>` is the unknown word.

    Raises ConfigurationError for a phrase that a model of this vocabulary cannot write anyway.
    """
    unknown = Vocabulary.SPECIALS[Vocabulary.unk_id]
    found = [[Vocabulary.unk_id] if phrase == unknown else target.encode(phrase) for phrase in phrases]
    useless = [
        phrase
        for phrase, ids in zip(phrases, found, strict=True)
        if not ids or (phrase != unknown and Vocabulary.unk_id in ids)
    ]
    if useless:
        raise ConfigurationError(
            f"decoding.banned holds {', '.join(map(repr, useless))}, with tokens outside the target vocabulary: no "
            f"model writes that. Leave it out, or ban {unknown!r}."
        )
    return found


def requests_in_ids(asked: Sequence[Asked], sources: Sequence[str], copying: Copying, copies: bool) -> Requests | None:
    """What is asked of the outputs of these sources; None when nothing is. copies: words of the source have ids too.

    Raises DataError for a word that cannot be written.
    """
    if all(each == NOTHING_ASKED for each in asked):
        return None
    encoders = [_encoder(source, copying, copies) for source in sources]
    pairs = list(zip(asked, encoders, strict=True))
    return Requests(
        prefixes=[ids(each.prefix) if each.prefix else [] for each, ids in pairs],
        required=[[ids(phrase) for phrase in each.required] for each, ids in pairs],
        allowed=_automata(pairs, shared=not copies),
    )


def _automata(pairs: Sequence[tuple[Asked, Encode]], shared: bool) -> list[Automaton | None]:
    """One per sentence; shared: the same outputs are the same ids for any source, and one trie serves."""
    found: list[Automaton | None] = []
    known: dict[tuple[str, ...], Automaton] = {}
    for each, ids in pairs:
        automaton = None if each.allowed is None else known.get(each.allowed)
        if each.allowed is not None and automaton is None:
            automaton = trie(map(ids, each.allowed))
            if shared:
                known[each.allowed] = automaton
        found.append(automaton)
    return found


def _encoder(source: str, copying: Copying, copies: bool) -> Encode:
    def encode(text: str) -> list[int]:
        ids = copying.target_ids(source, text) if copies else copying.target.encode(text)
        if Vocabulary.unk_id in ids:
            raise DataError(
                f"{text!r}, asked of the output for {source!r}, has a word outside the target vocabulary. "
                "Ask for words that the model can write."
            )
        return ids

    return encode
