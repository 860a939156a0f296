"""What is asked of the sentences of one search besides its settings, checked before anything is searched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from seq2seq_lightning.decoding.config import DecodingConfig
from seq2seq_lightning.decoding.constraints.allowed import Automaton
from seq2seq_lightning.decoding.protocol import SpecialIds
from seq2seq_lightning.errors import ConfigurationError

Tokens = Sequence[int]


@dataclass(frozen=True)
class Requests:
    """Token ids as the model writes them, without `eos`. Per sentence: one entry each, in the order of the batch."""

    prefixes: Sequence[Tokens] | None = None  # what each output begins with; empty where free
    required: Sequence[Sequence[Tokens]] | None = None  # phrases each output must contain; beam only
    allowed: Sequence[Automaton | None] | None = None  # the outputs there may be; None where free
    banned: Sequence[Tokens] | None = None  # of all sentences: the phrases of decoding.banned as ids

    def of(self, places: Sequence[int]) -> Requests:
        """Those of these sentences, in this order."""
        return Requests(
            prefixes=None if self.prefixes is None else [self.prefixes[place] for place in places],
            required=None if self.required is None else [self.required[place] for place in places],
            allowed=None if self.allowed is None else [self.allowed[place] for place in places],
            banned=self.banned,
        )

    def check(self, config: DecodingConfig, ids: SpecialIds, sentences: int) -> None:
        """Raise one ConfigurationError that names everything that cannot be done."""
        problems = [*self._wrong_counts(sentences), *self._wrong_tokens(ids)]
        if config.banned and self.banned is None:
            problems.append(
                "decoding.banned holds words, and this search was given no ids for them. Pass Requests(banned=…)."
            )
        if self.required is not None and any(self.required) and not config.serves_required():
            problems.append(
                f"Required phrases need a beam to be met, and decoding={config.name} "
                f"{'shares its beam among groups' if hasattr(config, 'groups') else 'has none'}. Choose decoding=beam."
            )
        if not problems:
            problems += self._contradictions()
        if problems:
            raise ConfigurationError("\n".join(problems))

    def _wrong_counts(self, sentences: int) -> Iterator[str]:
        for name in ("prefixes", "required", "allowed"):
            given = getattr(self, name)
            if given is not None and len(given) != sentences:
                yield f"{len(given)} {name} for {sentences} sentences. Give one entry per sentence, empty where free."

    def _wrong_tokens(self, ids: SpecialIds) -> Iterator[str]:
        special = {getattr(ids, each.name): each.name for each in fields(ids)}
        for what, phrase in self._phrases():
            if not phrase and not what.startswith("The prefix"):
                yield f"{what} is empty. Leave it out."
            for token in phrase:
                if token in special or token < 0:
                    yield f"{what} holds the id {token} ({special.get(token, 'negative')}). Give ids of words only."

    def _phrases(self) -> Iterator[tuple[str, Tokens]]:
        for place, prefix in enumerate(self.prefixes or ()):
            yield f"The prefix of sentence {place} of the batch", prefix
        for place, phrases in enumerate(self.required or ()):
            yield from ((f"A phrase required of sentence {place} of the batch", phrase) for phrase in phrases)
        yield from (("A phrase of decoding.banned", phrase) for phrase in self.banned or ())
        for place, automaton in enumerate(self.allowed or ()):
            if automaton is not None and automaton.arcs:
                yield f"The automaton of sentence {place} of the batch", [token for _, token in automaton.arcs]

    def _contradictions(self) -> Iterator[str]:
        for place, (prefix, automaton) in enumerate(zip(self.prefixes or (), self.allowed or (), strict=False)):
            if automaton is not None and automaton.after(prefix) is None:
                yield (
                    f"The prefix of sentence {place} of the batch begins no output its automaton allows. "
                    "Change one of them."
                )

    @property
    def largest_id(self) -> int:
        """The largest id anywhere in it; -1 if there is none."""
        return max((token for _, phrase in self._phrases() for token in phrase), default=-1)
