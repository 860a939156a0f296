"""What an n-best list holds besides its first hypothesis. No torch here."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from seq2seq_lightning.metrics.pairwise import pairwise
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


def list_scores(n_best: Sequence[Sequence[str]], references: References) -> dict[str, Score]:
    """How long the best outputs are, and how different the outputs of each list: words are what white space separates.

    ``distinct_n``: mean over lists; ``self_bleu``: of a list the mean BLEU of each output against each other one, 100
    where nothing else was written, mean over lists (after Zhu et al. 2018, arXiv 1802.01886, who take the whole corpus
    as one list).
    """
    n = len(n_best)
    lists = [[text.split() for text in texts] for texts in n_best]
    written = sum(len(outputs[0]) for outputs in lists)
    expected = sum(len(several[0].split()) for several in references)
    scores = {"length_ratio": Score(written / max(expected, 1), "unit:word|refs:first", n)}
    for order in (1, 2, 4):
        shares = [share for outputs in lists if (share := distinct(outputs, order)) is not None]
        if shares:  # no list has a sequence of so many words: nothing to be said
            scores[f"distinct_{order}"] = Score(math.fsum(shares) / len(shares), "unit:word|mean over n-best lists", n)
    alike = math.fsum(_self_bleu(outputs) for outputs in lists) / max(n, 1)
    return scores | {"self_bleu": Score(100.0 * alike, "sentence BLEU|pairs of an n-best list|mean over lists", n)}


def _self_bleu(outputs: Sequence[Sequence[Hashable]]) -> float:
    """The mean of all ordered pairs of two outputs."""
    count = len(outputs)
    if count < 2:
        return 1.0
    matrix = pairwise("bleu", outputs)
    return float((matrix.sum() - matrix.trace()) / (count * (count - 1)))
