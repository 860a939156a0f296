"""Subwords by sentencepiece (Kudo and Richardson 2018, arXiv 1808.06226): byte-pair encoding and unigram models.

A blank is the mark ▁ at the beginning of the next piece, so that joined pieces are the text again.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import groupby
from random import Random

from seq2seq_lightning.text.chance import drawn_cut, merged_by_chance
from seq2seq_lightning.text.piece_models import load_model, read_model_file, train_model
from seq2seq_lightning.text.pieces_config import BLANK, PiecesConfig
from seq2seq_lightning.text.tokenizers import Learnt, LearntTokenizer, TokenizerConfig


class PiecesTokenizer(LearntTokenizer):
    """Cuts as sentencepiece does.

    Lossless for every text as ``normalize`` gives it, whatever characters it has; ids lose unknown characters, unless
    ``byte_fallback`` spells them. The character ▁ itself is read as a blank.
    """

    def __init__(self, config: PiecesConfig, learnt: Learnt) -> None:
        super().__init__(config, learnt)
        self.model = load_model(_blob(learnt), config)
        pieces = range(self.model.vocab_size())
        self._bytes = {self.model.id_to_piece(i) for i in pieces if self.model.is_byte(i)}
        probe = self.model.normalize("a")
        self._begins, self._ends = probe.startswith(BLANK), probe.endswith(BLANK)
        chance = getattr(config, config.chance)
        self._chance, self._by_merges = 0.0 if chance is None else float(chance), config.kind == "bpe"
        self._whole = self._bytes | {symbol.replace(" ", BLANK) for symbol in config.symbols}
        own = (i for i in pieces if not (self.model.is_control(i) or self.model.is_unknown(i) or self.model.is_byte(i)))
        self._scores = {self.model.id_to_piece(i): self.model.get_score(i) for i in own}
        self._longest = max(map(len, self._scores))

    @classmethod
    def learn(cls, config: TokenizerConfig, texts: Iterable[str]) -> Learnt:
        """A model of these texts, by one thread, or the one in the file."""
        assert isinstance(config, PiecesConfig)
        blob = train_model(config, texts) if config.model_file is None else read_model_file(config)
        return {"model": base64.b64encode(blob).decode("ascii"), "sha256": sha256(blob).hexdigest()}

    def tokens(self) -> list[str]:
        """The pieces of the model, without its own special ones."""
        model = self.model
        own = [i for i in range(model.vocab_size()) if not (model.is_control(i) or model.is_unknown(i))]
        return [model.id_to_piece(i) for i in own if not model.is_unused(i)]

    def normalize(self, text: str) -> str:
        """The text as the model reads it."""
        return self._with_blanks(self.model.normalize(text))

    def tokenize(self, text: str) -> list[str]:
        """The pieces of a text; characters without a piece stand for themselves."""
        return self.model.encode(text, out_type=str)

    def tokenize_by_chance(self, text: str, seed: int) -> list[str]:
        """Pieces with merges dropped (bpe), or a cut drawn among all (unigram), word by word."""
        chance = Random(seed)
        return [piece for word in self._words(self.tokenize(text)) for piece in self._cut(word, chance)]

    def _words(self, pieces: Iterable[str]) -> Iterator[list[str]]:
        """The pieces of each word: no piece that is learnt goes beyond one."""
        word: list[str] = []
        for piece in pieces:
            if word and (word[-1].endswith(BLANK) if self._ends else piece.startswith(BLANK)):
                yield word
                word = []
            word.append(piece)
        if word:
            yield word

    def _cut(self, word: list[str], chance: Random) -> list[str]:
        """Another cut of a word; one with bytes, unknown characters or symbols of the user's stays as it is."""
        text = "".join(word)
        if not all(character in self._scores for character in text) or not self._whole.isdisjoint(word):
            return word
        if self._by_merges:
            return merged_by_chance(text, self._scores, self._chance, chance)
        return drawn_cut(text, self._scores, self._chance, self._longest, chance)

    def detokenize(self, tokens: Sequence[str]) -> str:
        """Pieces joined, bytes read as characters, marks as blanks."""
        if self._bytes.isdisjoint(tokens):
            return self._with_blanks("".join(tokens))
        groups = groupby(tokens, key=self._bytes.__contains__)
        return self._with_blanks("".join(_spelt(group) if are_bytes else "".join(group) for are_bytes, group in groups))

    def _with_blanks(self, text: str) -> str:
        """Marks as blanks; the one that was added at the beginning (in some model files: at the end) is taken away."""
        text = text.replace(BLANK, " ")
        text = text.removeprefix(" ") if self._begins else text
        return text.removesuffix(" ") if self._ends else text


def _spelt(tokens: Iterable[str]) -> str:
    """Tokens such as <0xC3> as the characters that they spell."""
    return bytes(int(token[3:5], 16) for token in tokens).decode("utf-8", errors="replace")


def _blob(learnt: Learnt) -> bytes:
    text = learnt.get("model")
    if not isinstance(text, str):
        raise ValueError("it holds no sentencepiece model")
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"its sentencepiece model is not base64: {error}") from error
    if learnt.get("sha256") != sha256(blob).hexdigest():
        raise ValueError("its sentencepiece model has not the checksum it was stored with")
    return blob
