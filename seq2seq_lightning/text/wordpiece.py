"""WordPiece by the `tokenizers` library (Schuster and Nakajima 2012; Wu et al. 2016, arXiv 1609.08144).

A word is cut into the longest pieces there are, from left to right; pieces that go on are marked with ##. A blank is
the mark ▁ at the beginning of the next word, as sentencepiece has it, so that joined pieces are the text again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from seq2seq_lightning.errors import ConfigurationError, DataError
from seq2seq_lightning.text.extras import from_extra
from seq2seq_lightning.text.pieces_config import BLANK
from seq2seq_lightning.text.tokenizers import Learnt, LearntTokenizer, LearntTokenizerConfig, TokenizerConfig

_GOES_ON = "##"
_UNKNOWN = "[UNK]"
_OURS_BESIDE_THEIRS = 3  # of our special tokens the library counts the unknown one alone
_TOGETHER = 1000  # times that a word is given to the library in one string


@dataclass
class WordPieceConfig(LearntTokenizerConfig):
    """The longest pieces from left to right (needs the extra `wordpiece`)."""

    name: str = "wordpiece"
    # entries of the vocabulary, the four special ones included
    vocab_size: int = 8000

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.vocab_size < 5:
            raise ConfigurationError(
                f"`vocab_size` of the tokenizer wordpiece is {self.vocab_size}; the four special tokens are among "
                "them, so set it to 5 or more."
            )


class WordPieceTokenizer(LearntTokenizer):
    """Cuts at blanks, around punctuation, and within words.

    Lossless for every text but that the character ▁ is read as a blank. A word of which some part is in no piece is
    unknown as a whole, and ids lose it.
    """

    def __init__(self, config: TokenizerConfig, learnt: Learnt) -> None:
        super().__init__(config, learnt)
        pieces = learnt.get("pieces")
        if not isinstance(pieces, list) or not all(isinstance(piece, str) and piece for piece in pieces):
            raise ValueError("it holds no list of pieces")
        self._pieces: list[str] = pieces
        self._library = _library({piece: index for index, piece in enumerate([_UNKNOWN, *pieces])})

    @classmethod
    def learn(cls, config: TokenizerConfig, texts: Iterable[str]) -> Learnt:
        """The pieces of these texts."""
        assert isinstance(config, WordPieceConfig)
        words = Counter(word for text in texts for word in regex.findall(f"{BLANK}[^{BLANK}]*", _escaped(text)))
        if not any(word.strip(BLANK) for word in words):
            raise DataError("The tokenizer wordpiece cannot be learnt from the training text: it is empty.")
        # Where pairs are equally frequent the library prefers the ones it has met first, and it meets words in another
        # order each time. Naming the inner characters beforehand, sorted, leaves it nothing to order.
        library = _library({})
        inner = {
            char for word in words for part, _ in library.pre_tokenizer.pre_tokenize_str(word) for char in part[1:]
        }
        trainer = from_extra("tokenizers.trainers:WordPieceTrainer", "wordpiece", "the tokenizer wordpiece")(
            vocab_size=config.vocab_size - _OURS_BESIDE_THEIRS,
            special_tokens=[_UNKNOWN, *(_GOES_ON + char for char in sorted(inner))],
            continuing_subword_prefix=_GOES_ON,
            show_progress=False,
        )
        library.train_from_iterator(_repeated(words), trainer)
        ids: dict[str, int] = library.get_vocab()
        _check_size(config.vocab_size, len(ids) + _OURS_BESIDE_THEIRS)
        return {"pieces": sorted(ids.keys() - {_UNKNOWN}, key=ids.__getitem__)}

    def tokens(self) -> list[str]:
        """The pieces."""
        return self._pieces

    def normalize(self, text: str) -> str:
        """The text, with blanks where it has the mark of one."""
        return text.replace(BLANK, " ")

    def tokenize(self, text: str) -> list[str]:
        """The pieces of a text; words that have none stand for themselves."""
        if not text:
            return []
        escaped = _escaped(text)
        found = self._library.encode(escaped)
        pairs = zip(found.tokens, found.offsets, strict=True)
        return [escaped[begin:end] if token == _UNKNOWN else token for token, (begin, end) in pairs]

    def detokenize(self, tokens: Sequence[str]) -> str:
        """Pieces joined without their marks."""
        parts = (token.removeprefix(_GOES_ON) if len(token) > len(_GOES_ON) else token for token in tokens)
        return "".join(parts).replace(BLANK, " ").removeprefix(" ")


def _escaped(text: str) -> str:
    return BLANK + text.replace(" ", BLANK)


def _library(ids: Mapping[str, int]) -> Any:
    """The library's tokenizer with these pieces: words begin at marks of blanks, punctuation stands alone."""
    models, ways = (from_extra(f"tokenizers.{each}", "wordpiece", "the tokenizer wordpiece") for each in _MODULES)
    tokenizer = from_extra("tokenizers:Tokenizer", "wordpiece", "the tokenizer wordpiece")(
        models.WordPiece(dict(ids), unk_token=_UNKNOWN)
    )
    tokenizer.pre_tokenizer = ways.Sequence([ways.Split(BLANK, "merged_with_next"), ways.Punctuation("isolated")])
    return tokenizer


_MODULES = ("models", "pre_tokenizers")


def _repeated(words: Counter[str]) -> Iterator[str]:
    """Each word as often as it was there, which is all that the library counts."""
    for word, count in sorted(words.items()):
        for begin in range(0, count, _TOGETHER):
            yield word * min(_TOGETHER, count - begin)


def _check_size(asked: int, found: int) -> None:
    begins = f"`vocab_size` of the tokenizer wordpiece is {asked}, but the"
    if found < asked:
        raise ConfigurationError(f"{begins} training text has pieces for {found} at most. Set it to {found}.")
    if found > asked:
        raise ConfigurationError(
            f"{begins} characters and special tokens of the training text are {found} already. Set it to {found} or "
            "more."
        )
