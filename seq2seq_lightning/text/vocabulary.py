"""Tokens and their ids: the only place that knows which numbers mean padding, begin, end and unknown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from seq2seq_lightning.errors import CheckpointError, DataError

FORMAT = 1


@dataclass(frozen=True)
class Vocabulary:
    """The tokens of one side in the order of their ids; the four special ones come first.

    A token of the corpus that is spelt like a special one (say ``<eos>``) is not that mark: it is unknown.
    """

    tokens: tuple[str, ...]

    SPECIALS: ClassVar[tuple[str, ...]] = ("<pad>", "<bos>", "<eos>", "<unk>")
    pad_id: ClassVar[int] = 0
    bos_id: ClassVar[int] = 1
    eos_id: ClassVar[int] = 2
    unk_id: ClassVar[int] = 3

    def __post_init__(self) -> None:
        if self.tokens[: len(self.SPECIALS)] != self.SPECIALS:
            raise DataError(f"A vocabulary begins with {' '.join(self.SPECIALS)}, not with {self.tokens[:4]}.")
        repeated = [token for token, count in Counter(self.tokens).items() if count > 1]
        if repeated:
            raise DataError(f"A vocabulary lists each token once, but {repeated[0]!r} stands in it more than once.")

    @classmethod
    def build(
        cls, sentences: Iterable[Iterable[str]], min_frequency: int = 1, max_size: int | None = None
    ) -> Vocabulary:
        """The tokens seen at least ``min_frequency`` times, the most frequent first and equals in order of spelling.

        ``max_size`` bounds the tokens kept beside the four special ones.
        """
        counts = Counter(token for sentence in sentences for token in sentence)
        ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        kept = [token for token, count in ranked if count >= min_frequency and token not in cls.SPECIALS]
        return cls(cls.SPECIALS + tuple(kept[:max_size]))

    @cached_property
    def _ids(self) -> dict[str, int]:
        marks = len(self.SPECIALS)
        return {token: index for index, token in enumerate(self.tokens[marks:], start=marks)}

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def encode(self, tokens: Sequence[str], frozen: bool = False) -> list[int]:
        """The ids of tokens; one outside the vocabulary becomes ``unk_id``, or an error when ``frozen``."""
        ids = self._ids
        if frozen:
            for token in tokens:
                if token not in ids:
                    raise DataError(
                        f"The symbol {token!r} is outside the frozen vocabulary of {len(ids)} tokens. "
                        "Remove it from the text, or look it up without `frozen`, which reads it as <unk>."
                    )
        return [ids.get(token, self.unk_id) for token in tokens]

    def decode(self, ids: Iterable[int], extra_words: Sequence[str] = ()) -> list[str]:
        """The tokens of ids; special ids by their names, unknown as ``<unk>``.

        extra_words: the words of one sentence that ids beyond the vocabulary stand for.
        """
        size = len(self.tokens)
        return [self.tokens[index] if index < size else extra_words[index - size] for index in ids]

    def to_plain(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {"format": FORMAT, "tokens": list(self.tokens)}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Vocabulary:
        """The vocabulary that ``to_plain`` wrote."""
        if plain.get("format") != FORMAT:
            raise CheckpointError(
                f"This vocabulary has format {plain.get('format')!r}; this version reads format {FORMAT}. "
                "Use the version of seq2seq_lightning that wrote it."
            )
        return cls(tuple(plain["tokens"]))
