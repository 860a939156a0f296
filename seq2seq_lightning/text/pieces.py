"""Subwords by sentencepiece (Kudo and Richardson 2018, arXiv 1808.06226): byte-pair encoding and unigram models.

A blank is the mark ▁ at the beginning of the next piece, so that joined pieces are the text again.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import groupby

import sentencepiece

from seq2seq_lightning.text.piece_models import load_model, read_model_file, train_model
from seq2seq_lightning.text.pieces_config import BLANK, PiecesConfig
from seq2seq_lightning.text.tokenizers import Learnt, LearntTokenizer, TokenizerConfig

_SEEDS = (1 << 32) - 1  # sentencepiece takes less than this: the largest one means a seed of its own choice


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
        self._alpha = 0.0 if chance is None else float(chance)

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
        """Pieces with merges dropped (bpe), or a cut drawn among all (unigram)."""
        sentencepiece.set_random_generator_seed(seed % _SEEDS)
        return self.model.encode(text, out_type=str, enable_sampling=True, nbest_size=-1, alpha=self._alpha)

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
