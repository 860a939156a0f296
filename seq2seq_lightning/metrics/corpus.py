"""BLEU, chrF and TER as sacrebleu computes them, with its signatures (Post 2018, arXiv 1804.08771). No torch here.

Text must be detokenised (then `metrics.bleu.tokenize=13a` tokenises it the standard way), or `tokenize=none` says that
it is tokenised already. METEOR has no library that works offline; chrF stands in for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from sacrebleu.metrics import BLEU, CHRF, TER

from seq2seq_lightning.errors import ConfigurationError, nearest
from seq2seq_lightning.metrics.score import References, Score, check_corpus


@dataclass
class BLEUConfig:
    """BLEU (Papineni et al. 2002), corpus level."""

    tokenize: str = "13a"  # 13a | intl | char | zh | none (the text is tokenised already), as sacrebleu names them
    lowercase: bool = False  # compare without case
    smooth_method: str = "exp"  # exp | floor | add-k | none: what replaces an n-gram precision of zero
    smooth_value: float | None = None  # of floor (0.1) and add-k (1)

    def __post_init__(self) -> None:
        """Refuse names sacrebleu does not know."""
        for key, allowed in (("tokenize", BLEU.TOKENIZERS), ("smooth_method", BLEU.SMOOTH_DEFAULTS)):
            value = getattr(self, key)
            if value not in allowed:
                raise ConfigurationError(f"metrics.bleu.{key}={value} is unknown. {nearest(str(value), allowed)}")


@dataclass
class ChrFConfig:
    """chrF (Popović 2015): F-score over character n-grams; word_order=2 makes it chrF++."""

    char_order: int = 6
    word_order: int = 0
    beta: int = 2  # recall counts beta times as much as precision
    lowercase: bool = False
    whitespace: bool = False  # count spaces as characters

    def __post_init__(self) -> None:
        """Refuse orders without n-grams."""
        for key, least in (("char_order", 1), ("word_order", 0), ("beta", 1)):
            if getattr(self, key) < least:
                raise ConfigurationError(f"metrics.chrf.{key}={getattr(self, key)} is too small. Set {least} or more.")


@dataclass
class TERConfig:
    """Translation edit rate (Snover et al. 2006): edits and shifts of word groups per reference word."""

    normalized: bool = False  # normalise as tercom does, punctuation apart
    no_punct: bool = False
    asian_support: bool = False
    case_sensitive: bool = False


def bleu(hypotheses: Sequence[str], references: References, config: BLEUConfig) -> Score:
    """Corpus BLEU, 0 to 100."""
    return _score(bleu_of(config), hypotheses, references)


def chrf(hypotheses: Sequence[str], references: References, config: ChrFConfig) -> Score:
    """Corpus chrF, 0 to 100."""
    return _score(chrf_of(config), hypotheses, references)


def ter(hypotheses: Sequence[str], references: References, config: TERConfig) -> Score:
    """Corpus TER, in per cent; 0 is best."""
    return _score(ter_of(config), hypotheses, references)


def bleu_of(config: BLEUConfig) -> BLEU:
    """Sacrebleu's metric of these settings."""
    return BLEU(
        lowercase=config.lowercase,
        force=True,  # no advice about text that looks tokenised: the signature says how it was read
        tokenize=config.tokenize,
        smooth_method=config.smooth_method,
        smooth_value=config.smooth_value,
    )


def chrf_of(config: ChrFConfig) -> CHRF:
    """Sacrebleu's metric of these settings."""
    return CHRF(
        char_order=config.char_order,
        word_order=config.word_order,
        beta=config.beta,
        lowercase=config.lowercase,
        whitespace=config.whitespace,
    )


def ter_of(config: TERConfig) -> TER:
    """Sacrebleu's metric of these settings."""
    return TER(
        normalized=config.normalized,
        no_punct=config.no_punct,
        asian_support=config.asian_support,
        case_sensitive=config.case_sensitive,
    )


def reference_streams(references: References) -> list[list[str | None]]:
    """Per-sentence references as sacrebleu wants them: the first of every sentence, the second of every sentence, …

    A sentence with fewer references than others has None in the later streams, which sacrebleu leaves out; the
    signature then says `nrefs:var`.
    """
    return [list(stream) for stream in zip_longest(*references)]


def _score(metric: BLEU | CHRF | TER, hypotheses: Sequence[str], references: References) -> Score:
    check_corpus(hypotheses, references)
    streams: Any = reference_streams(references)  # sacrebleu's types do not tell that it takes None
    value = metric.corpus_score(list(hypotheses), streams).score
    return Score(float(value), str(metric.get_signature()), len(hypotheses))
