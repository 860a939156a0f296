"""Copying by word form: the words of a source as ids of the target, for models that may repeat them.

A source word that the target vocabulary knows has its id there. The k-th other word of a sentence, in reading order,
is V + k in this sentence alone, V being the size of the target vocabulary (See et al. 2017, §2.2). Ids from V on thus
mean nothing without their source.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seq2seq_lightning.text.codec import SourceCodec, TargetCodec


@dataclass(frozen=True)
class Copying:
    """The two sides of a sentence together; their tokenizers should cut words alike, or little can be copied."""

    source: SourceCodec
    target: TargetCodec

    def words(self, source: str) -> list[str]:
        """The words of a source as the target would write them, in reading order."""
        words = self.source.tokenize(source)
        return [word.lower() for word in words] if self.target.config.lowercase else words

    def unknown(self, source: str) -> list[str]:
        """The distinct words of a source that the target vocabulary lacks: those of the ids V, V + 1, …"""
        return [word for word in dict.fromkeys(self.words(source)) if word not in self.target.vocabulary]

    def source_ids(self, source: str) -> list[int]:
        """One id of the target per position that the encoder reads; marks are those of the target."""
        return self.source.arrange(self._ids(self.words(source), source))

    def target_ids(self, source: str, target: str) -> list[int]:
        """The ids of a target: what neither the vocabulary nor the source has is unknown."""
        return self._ids(self.target.tokenize(target), source)

    def decode(self, ids: Iterable[int], source: str) -> str:
        """The text of a hypothesis for this source, whether or not it has copied anything."""
        ids, size = list(ids), len(self.target.vocabulary)
        copied = any(index >= size for index in ids)
        return self.target.decode(ids, self.unknown(source) if copied else ())

    def _ids(self, words: list[str], source: str) -> list[int]:
        size = len(self.target.vocabulary)
        extended = {word: size + place for place, word in enumerate(self.unknown(source))}
        known = self.target.vocabulary.encode(words)
        return [extended.get(word, index) for word, index in zip(words, known, strict=True)]
