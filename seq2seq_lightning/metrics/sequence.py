"""Scores of whole sequences and their parts, all in per cent over the corpus: never means of sentence scores.

A word is what whitespace separates, so symbols written with spaces between them (actions, digits, phonemes) are words.
With several references a sentence is compared with the one that suits it best. No torch here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import rapidfuzz
from rapidfuzz.distance import Levenshtein

from seq2seq_lightning.errors import DataError
from seq2seq_lightning.metrics.score import References, Score, check_corpus


def exact_match(hypotheses: Sequence[str], references: References) -> Score:
    """The share of hypotheses equal to a reference, word by word; how much whitespace stands between does not count."""
    check_corpus(hypotheses, references)
    pairs = zip(hypotheses, references, strict=True)
    right = sum(_words(hypothesis) in map(_words, several) for hypothesis, several in pairs)
    return Score(100.0 * right / len(hypotheses), "unit:sequence|refs:any", len(hypotheses))


def sequence_error(hypotheses: Sequence[str], references: References) -> Score:
    """100 − exact match: what papers on pronunciation call word error rate."""
    right = exact_match(hypotheses, references)
    return Score(100.0 - right.value, right.signature, right.n)


def token_accuracy(hypotheses: Sequence[str], references: References) -> Score:
    """The share of reference positions at which the hypothesis has the same word.

    A hypothesis that is too short is wrong at the missing positions; words beyond the reference are not counted.
    Of several references the one with the largest share of right positions counts, of equal ones the longest.
    """
    check_corpus(hypotheses, references)
    right = total = 0
    for hypothesis, several in zip(hypotheses, references, strict=True):
        words = _words(hypothesis)
        counts = [_positions_right(words, _words(reference)) for reference in several]
        best = max(counts, key=lambda count: (count[0] / max(count[1], 1), count[1]))
        right, total = right + best[0], total + best[1]
    return Score(100.0 * right / _positive(total), "unit:word|refs:best", len(hypotheses))


def wer(hypotheses: Sequence[str], references: References) -> Score:
    """Word error rate. Papers on pronunciation also call the share of wrong words so: that is 100 − exact match."""
    return _error_rate(hypotheses, references, _words, "word")


def per(hypotheses: Sequence[str], references: References) -> Score:
    """Phoneme error rate: the word error rate of symbols written with spaces between them."""
    return _error_rate(hypotheses, references, _words, "phoneme")


def cer(hypotheses: Sequence[str], references: References) -> Score:
    """Character error rate over code points, the single spaces between words included."""
    return _error_rate(hypotheses, references, lambda text: " ".join(_words(text)), "character")


def _error_rate(
    hypotheses: Sequence[str], references: References, units: Callable[[str], Sequence[str]], name: str
) -> Score:
    """Summed edits ÷ summed reference length; of several references the one with the fewest edits, then the longest."""
    check_corpus(hypotheses, references)
    edits = total = 0
    for hypothesis, several in zip(hypotheses, references, strict=True):
        said = units(hypothesis)
        meant = [units(reference) for reference in several]
        fewest, length = min((Levenshtein.distance(said, each), -len(each)) for each in meant)
        edits, total = edits + fewest, total - length
    signature = f"unit:{name}|refs:nearest|edits:levenshtein|rapidfuzz:{rapidfuzz.__version__}"
    return Score(100.0 * edits / _positive(total), signature, len(hypotheses))


def _positions_right(words: list[str], reference: list[str]) -> tuple[int, int]:
    return sum(one == other for one, other in zip(words, reference, strict=False)), len(reference)


def _words(text: str) -> list[str]:
    return text.split()


def _positive(total: int) -> int:
    if total == 0:
        raise DataError("Every reference is empty, so there is no length to divide by. Check the target side.")
    return total
