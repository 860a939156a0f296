"""A metric: F1 of words, whatever their order; beside exact match it tells wrong words from wrong order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from seq2seq_lightning.metrics.score import References, Score, check_corpus
from seq2seq_lightning.metrics.scores import Metric, MetricsConfig


def bag_f1(hypotheses: Sequence[str], references: References, config: MetricsConfig) -> Score:
    """200·Σ common words ÷ Σ (words of hypothesis + words of reference): over the corpus, never a mean of sentences.

    Of several references the one counts that suits the hypothesis best.
    """
    del config  # this metric has no settings
    check_corpus(hypotheses, references)
    pairs = zip(hypotheses, references, strict=True)
    counts = [max((_common(text, each) for each in several), key=_share) for text, several in pairs]
    common, words = (sum(column) for column in zip(*counts, strict=True))
    # the signature says how it was computed: tables compare equal ones only
    return Score(200.0 * common / max(words, 1), "unit:word|order:ignored|refs:best|version:1", len(hypotheses))


def _common(hypothesis: str, reference: str) -> tuple[int, int]:
    """(common words, words of both)."""
    ours, theirs = Counter(hypothesis.split()), Counter(reference.split())
    return (ours & theirs).total(), ours.total() + theirs.total()


def _share(count: tuple[int, int]) -> float:
    return count[0] / max(count[1], 1)


METRICS = {"bag_f1": Metric(bag_f1, higher_is_better=True)}
