"""What an n-best list holds besides its first hypothesis. No torch here."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from seq2seq_lightning.metrics.score import References, Score
from seq2seq_lightning.metrics.scores import METRICS, MetricsConfig
from seq2seq_lightning.metrics.sentence import SENTENCE_METRICS


def distinct(outputs: Sequence[Sequence[Hashable]], order: int) -> float | None:
    """Different n-grams ÷ n-grams over all of these outputs (distinct-n: Li et al. 2016, arXiv 1510.03055, §5.3).

    1 where nothing is said twice; None where there is no n-gram of this order.
    """
    ngrams = [ngram for output in outputs for ngram in zip(*(output[start:] for start in range(order)), strict=False)]
    return len(set(ngrams)) / len(ngrams) if ngrams else None


def oracle(name: str, n_best: Sequence[Sequence[str]], references: References, config: MetricsConfig) -> Score:
    """The corpus score of each list's best hypothesis, by the metric of its sentence alone; of equal ones the first.

    A choice per sentence: for metrics that are no sums over sentences, such as BLEU, it may be beaten. BLEU of short
    sentences is often zero; among those BLEU+1 chooses.
    """
    chosen = [
        texts[0] if len(texts) == 1 else texts[_best(name, texts, several, config)]
        for texts, several in zip(n_best, references, strict=True)
    ]
    return METRICS[name].score(chosen, references, config)


def _best(name: str, texts: Sequence[str], references: tuple[str, ...], config: MetricsConfig) -> int:
    """The place of the best text of one sentence."""
    metric = METRICS[name]
    sign, smoothed = 1.0 if metric.higher_is_better else -1.0, SENTENCE_METRICS.get(name)

    def value(place: int) -> tuple[float, float]:
        text = texts[place]
        if not any(reference.strip() for reference in references):  # which some metrics cannot divide by
            return float(not text.strip()), 0.0
        words = text.split()
        nearest = max(smoothed(words, each.split()) for each in references) if smoothed is not None else 0.0
        return sign * metric.score([text], [references], config).value, nearest

    return max(range(len(texts)), key=value)
