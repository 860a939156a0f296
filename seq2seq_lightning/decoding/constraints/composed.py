"""All constraints of one search as one: what every strategy asks at each position.

An output is possible if every constraint allows it; a forced prefix comes before all others. Scores are the model's
own and never renormalised: what is forbidden is -inf, what is allowed keeps its log-probability.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seq2seq_lightning.decoding.config import DecodingConfig
from seq2seq_lightning.decoding.constraints.allowed import allowed_tokens
from seq2seq_lightning.decoding.constraints.banned import banned_phrases
from seq2seq_lightning.decoding.constraints.constraint import Constraint
from seq2seq_lightning.decoding.constraints.length import LengthLimits
from seq2seq_lightning.decoding.constraints.ngrams import NoRepeatedNgrams
from seq2seq_lightning.decoding.constraints.prefix import ForcedPrefix, forced_prefix
from seq2seq_lightning.decoding.constraints.repetition import RepetitionPenalty
from seq2seq_lightning.decoding.constraints.required import RequiredPhrases, required_phrases
from seq2seq_lightning.decoding.protocol import SpecialIds
from seq2seq_lightning.decoding.requests import Requests
from seq2seq_lightning.errors import ConfigurationError


@dataclass(frozen=True)
class Constraints:
    """Immutable, like all a search carries from one position to the next."""

    limits: LengthLimits
    ids: SpecialIds
    parts: tuple[Constraint, ...] = ()  # what forbids tokens, besides the limits
    required: RequiredPhrases | None = None  # one of the kind, but beams are shared by it
    repetition: RepetitionPenalty | None = None
    prefix: ForcedPrefix | None = None
    written: Tensor | None = None  # (live, width, position - 1), where something reads it
    largest_id: int = -1

    @property
    def can_weigh(self) -> bool:
        """Whether `constrain` may return something else than what it was given."""
        return self.repetition is not None

    def constrain(self, log_probs: Tensor, position: int) -> Tensor:
        """Write -inf over what is forbidden at this position (from 1), and return what continuations are compared by.

        log_probs: (live, width, vocab), the model's own, changed in place. What is returned is the same tensor unless
        a repetition penalty weighs it.
        """
        if position == 1 and self.largest_id >= log_probs.shape[2]:
            raise ConfigurationError(
                f"This search was given the token id {self.largest_id}, but the model writes ids up to "
                f"{log_probs.shape[2] - 1}. Give ids of the target's vocabulary."
            )
        inside = None if self.prefix is None else self.prefix.inside(position)
        given = self.prefix.given(log_probs, position) if self.prefix is not None and inside is not None else None
        self.limits.constrain(log_probs, position, self.ids)
        for part in self._parts():
            part.forbid(log_probs, self.written, position)
        if self.prefix is not None and given is not None:
            self.prefix.force(log_probs, given, position)
        if self.repetition is None or self.written is None:
            return log_probs
        return self.repetition.weighted(log_probs, self.written, inside)

    def advance(self, tokens: Tensor, parents: Tensor | None = None) -> Constraints:
        """After these labels: (live, width) tokens, each continuing the beam `parents` (live, width); None: its own."""
        if self.written is None and not self.parts and self.required is None:
            return self
        written = self.written
        if written is not None:
            if parents is not None:
                written = written.gather(1, parents[:, :, None].expand(-1, -1, written.shape[2]))
            written = torch.cat([written, tokens[:, :, None]], dim=2)
        return replace(
            self,
            parts=tuple(part.advance(tokens, parents) for part in self.parts),
            required=None if self.required is None else self.required.advance(tokens, parents),
            written=written,
        )

    def select(self, sentences: Tensor) -> Constraints:
        """The constraints of these sentences, in this order."""
        return replace(
            self,
            limits=self.limits.select(sentences),
            parts=tuple(part.select(sentences) for part in self.parts),
            required=None if self.required is None else self.required.select(sentences),
            prefix=None if self.prefix is None else self.prefix.select(sentences),
            written=None if self.written is None else self.written[sentences],
        )

    def _parts(self) -> tuple[Constraint, ...]:
        return self.parts if self.required is None else (*self.parts, self.required)


def compose(
    config: DecodingConfig, requests: Requests, limits: LengthLimits, ids: SpecialIds, device: torch.device
) -> Constraints:
    """The constraints of the settings and of what is asked of each sentence, which is checked first."""
    sentences = len(limits.maximum)
    requests.check(config, ids, sentences)
    if requests.prefixes is not None:
        limits.check_prefixes([len(prefix) for prefix in requests.prefixes])
    parts: list[Constraint | None] = [
        banned_phrases(requests.banned, ids, device) if requests.banned else None,
        NoRepeatedNgrams(config.no_repeat_ngram, ids.pad) if config.no_repeat_ngram else None,
        allowed_tokens(requests.allowed, ids, device) if requests.allowed is not None else None,
    ]
    there = tuple(part for part in parts if part is not None)
    repetition = RepetitionPenalty(config.repetition_penalty) if config.repetition_penalty != 1.0 else None
    reads_written = repetition is not None or any(part.reads_written for part in there)
    return Constraints(
        limits=limits,
        ids=ids,
        parts=there,
        required=None if requests.required is None else required_phrases(requests.required, ids, device),
        repetition=repetition,
        prefix=None if requests.prefixes is None else forced_prefix(requests.prefixes, ids, device),
        written=torch.zeros((sentences, 1, 0), dtype=torch.int64, device=device) if reads_written else None,
        largest_id=requests.largest_id,
    )
