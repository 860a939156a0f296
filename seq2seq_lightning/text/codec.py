"""One side's way from text to ids and back: tokenizer, vocabulary and the marks the side carries."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Generic, Self, TypeVar

from seq2seq_lightning.errors import CheckpointError, DataError
from seq2seq_lightning.text import TOKENIZERS, build_tokenizer
from seq2seq_lightning.text.sides import SideTextConfig, SourceTextConfig, TargetTextConfig
from seq2seq_lightning.text.tokenizers import Tokenizer, config_from_plain, config_to_plain
from seq2seq_lightning.text.vocabulary import Vocabulary

FORMAT = 1
Config = TypeVar("Config", bound=SideTextConfig)


@dataclass(frozen=True)
class Codec(ABC, Generic[Config]):
    """A side's config and the vocabulary built for it; travels in the checkpoint as plain values."""

    config: Config
    vocabulary: Vocabulary

    config_class: ClassVar[type[SideTextConfig]]

    @classmethod
    def build(cls, config: Config, texts: Iterable[str]) -> Self:
        """A codec whose vocabulary is taken from the training texts."""
        empty = cls(config, Vocabulary(Vocabulary.SPECIALS))
        sentences = (empty.tokenize(text) for text in texts)
        return cls(config, Vocabulary.build(sentences, config.min_frequency, config.max_size))

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer the config names."""
        return build_tokenizer(self.config.tokenizer)

    def tokenize(self, text: str) -> list[str]:
        """The tokens of a text, lower-cased if asked, in reading order and without marks."""
        return self.tokenizer.tokenize(text.lower() if self.config.lowercase else text)

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
        return {"format": FORMAT, "config": config, "vocabulary": self.vocabulary.to_plain()}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """The codec that ``to_plain`` of the same side wrote."""
        if plain.get("format") != FORMAT:
            raise CheckpointError(
                f"This text section has format {plain.get('format')!r}; this version reads format {FORMAT}. "
                "Use the version of seq2seq_lightning that wrote it."
            )
        options = dict(plain["config"])
        options["tokenizer"] = config_from_plain(options["tokenizer"], TOKENIZERS)
        config: Any = cls.config_class(**options)
        return cls(config, Vocabulary.from_plain(plain["vocabulary"]))


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
