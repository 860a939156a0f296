"""One side's way from text to ids and back: tokenizer, vocabulary and the marks the side carries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Generic, Self, TypeVar

from seq2seq_lightning.errors import CheckpointError, ConfigurationError, DataError
from seq2seq_lightning.text import TOKENIZERS, build_tokenizer
from seq2seq_lightning.text.learning import learn
from seq2seq_lightning.text.sides import SideTextConfig, SourceTextConfig, TargetTextConfig
from seq2seq_lightning.text.tokenizers import (
    Learnt,
    LearntTokenizer,
    LearntTokenizerConfig,
    Tokenizer,
    config_from_plain,
    config_to_plain,
)
from seq2seq_lightning.text.vocabulary import Vocabulary

FORMAT = 1
Config = TypeVar("Config", bound=SideTextConfig)


@dataclass(frozen=True)
class Codec(ABC, Generic[Config]):
    """A side's config and the vocabulary built for it; travels in the checkpoint as plain values.

    learnt: what the tokenizer knows from the training texts, if it is of that kind.
    """

    config: Config
    vocabulary: Vocabulary
    learnt: Learnt | None = None

    config_class: ClassVar[type[SideTextConfig]]

    @classmethod
    def build(cls, config: Config, texts: Iterable[str]) -> Self:
        """A codec whose vocabulary, and whose tokenizer where it learns, are taken from the training texts."""
        if isinstance(config.tokenizer, LearntTokenizerConfig):
            return cls.of_learnt(config, learn(config.tokenizer, map(config.folded, texts)))
        empty = cls(config, Vocabulary(Vocabulary.SPECIALS))
        sentences = (empty.tokenize(text) for text in texts)
        return cls(config, Vocabulary.build(sentences, config.min_frequency, config.max_size))

    @classmethod
    def of_learnt(cls, config: Config, learnt: Learnt) -> Self:
        """A codec with a tokenizer that has learnt; its tokens are the vocabulary.

        Raises CheckpointError for something that such a tokenizer has not learnt.
        """
        tokens = cls(config, Vocabulary(Vocabulary.SPECIALS), learnt)._learnt_tokens()
        return cls(config, Vocabulary(Vocabulary.SPECIALS + tokens), learnt)

    def _learnt_tokens(self) -> tuple[str, ...]:
        """What a tokenizer has learnt, without tokens spelt like the special ones, which stay unknown."""
        tokenizer = self.tokenizer
        assert isinstance(tokenizer, LearntTokenizer)
        return tuple(token for token in tokenizer.tokens() if token not in Vocabulary.SPECIALS)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer the config names."""
        try:
            return build_tokenizer(self.config.tokenizer, self.learnt)
        except ValueError as error:
            raise CheckpointError(
                f"The tokenizer {self.config.tokenizer.name} cannot be used as it was stored: {error}. The checkpoint "
                "is damaged, or made by something else; train it again."
            ) from error

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text, lower-cased if asked, in reading order and without marks."""
        return self.tokenizer.tokenize(self.config.folded(text))

    @property
    def cuts_by_chance(self) -> bool:
        """Whether training is to see each text cut otherwise each time."""
        return self.config.tokenizer.cuts_by_chance

    def recut(self, ids: Sequence[int], seed: int) -> list[int]:
        """The ids of the same text, cut by chance: a pure function of ids and seed. Unknown tokens stay unknown."""
        tokenizer, vocabulary = self.tokenizer, self.vocabulary
        assert isinstance(tokenizer, LearntTokenizer)
        tokens = [self._unknown_sign if index == vocabulary.unk_id else vocabulary.tokens[index] for index in ids]
        return vocabulary.encode(tokenizer.tokenize_by_chance(tokenizer.detokenize(tokens), seed))

    @cached_property
    def _unknown_sign(self) -> str:
        """A character of private use that stands for unknown ones, because no token has it."""
        known = set("".join(self.vocabulary.tokens))
        return next(sign for sign in map(chr, range(0xE000, 0xF900)) if sign not in known)

    @abstractmethod
    def encode(self, text: str, frozen: bool = False) -> list[int]:
        """The ids of a text; ``frozen`` refuses a symbol outside the vocabulary."""

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids in reading order; pad, bos and eos are left out, an unknown token shows as ``<unk>``."""
        return self._text(ids)

    def _text(self, ids: Iterable[int], extra_words: Sequence[str] = ()) -> str:
        marks = (Vocabulary.pad_id, Vocabulary.bos_id, Vocabulary.eos_id)
        words = self.vocabulary.decode((index for index in ids if index not in marks), extra_words)
        return self.tokenizer.detokenize(words)

    def to_plain(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        config = {entry.name: getattr(self.config, entry.name) for entry in fields(self.config)}
        config["tokenizer"] = config_to_plain(self.config.tokenizer)
        plain = {"format": FORMAT, "config": config, "vocabulary": self.vocabulary.to_plain()}
        return plain if self.learnt is None else plain | {"learnt": self.learnt}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """The codec that ``to_plain`` of the same side wrote."""
        if plain.get("format") != FORMAT:
            raise CheckpointError(
                f"This text section has format {plain.get('format')!r}; this version reads format {FORMAT}. "
                "Use the version of seq2seq_lightning that wrote it."
            )
        try:
            options = dict(plain["config"])
            options["tokenizer"] = config_from_plain(options["tokenizer"], TOKENIZERS)
            config: Any = cls.config_class(**options)
            codec = cls(config, Vocabulary.from_plain(plain["vocabulary"]), plain.get("learnt"))
        except (KeyError, TypeError, AttributeError, ConfigurationError, DataError) as error:
            raise CheckpointError(
                f"The text section of the checkpoint is damaged, or made by something else: {error}."
            ) from error
        codec._check_learnt()
        return codec

    def _check_learnt(self) -> None:
        """Refuse a tokenizer and a vocabulary that were not stored together."""
        if self.config.is_learnt and self._learnt_tokens() != self.vocabulary.tokens[len(Vocabulary.SPECIALS) :]:
            raise CheckpointError(
                f"The tokenizer {self.config.tokenizer.name} of the checkpoint has other tokens than its vocabulary. "
                "The checkpoint is damaged, or made by something else; train it again."
            )


class SourceCodec(Codec[SourceTextConfig]):
    """Gives the ids the encoder reads: bos if asked, the tokens (reversed if asked), eos if asked."""

    config_class = SourceTextConfig

    def encode(self, text: str, frozen: bool = False) -> list[int]:
        """The ids of a source; never none at all, as an encoder cannot read nothing."""
        ids = self.arrange(self.vocabulary.encode(self.tokenize(text), frozen))
        if not ids:
            raise DataError(
                f"The source {text!r} has no tokens, and an encoder cannot read nothing. "
                "Remove it, or set `text.source.eos=true` so that it is read as its end mark."
            )
        return ids

    def arrange(self, ids: list[int]) -> list[int]:
        """Ids in reading order as the encoder reads them: reversed if asked, between the marks the side carries."""
        ids = ids[::-1] if self.config.reverse else ids
        bos = [Vocabulary.bos_id] if self.config.bos else []
        eos = [Vocabulary.eos_id] if self.config.eos else []
        return [*bos, *ids, *eos]

    def recut(self, ids: Sequence[int], seed: int) -> list[int]:
        """The same, of ids as the encoder reads them."""
        own = list(ids[int(self.config.bos) : len(ids) - int(self.config.eos)])
        return self.arrange(super().recut(own[::-1] if self.config.reverse else own, seed))

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, put back into reading order."""
        ids = list(ids)
        return super().decode(ids[::-1] if self.config.reverse else ids)


class TargetCodec(Codec[TargetTextConfig]):
    """Gives the target's tokens alone; bos and eos are set where inputs and labels are made (``data.batch``)."""

    config_class = TargetTextConfig

    def encode(self, text: str, frozen: bool = False) -> list[int]:
        """The ids of a target, without marks."""
        return self.vocabulary.encode(self.tokenize(text), frozen)

    def decode(self, ids: Iterable[int], extra_words: Sequence[str] = ()) -> str:
        """The text of ids; extra_words: what those beyond the vocabulary stand for (see ``text.copying``)."""
        return self._text(ids, extra_words)
