"""Searching and scoring a whole split with a trained model: one pass for as many decodings as are asked for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seq2seq_lightning.data.example import EncodedSplit, Pair
from seq2seq_lightning.decoding import DecodingConfig
from seq2seq_lightning.decoding.protocol import Hypothesis
from seq2seq_lightning.losses import perplexity
from seq2seq_lightning.metrics import MetricsConfig, Score, buckets, score_corpus
from seq2seq_lightning.metrics.n_best import list_scores, oracle
from seq2seq_lightning.training.quality import SearchQuality, search_quality, widest_beam
from seq2seq_lightning.training.searching import Losses, OnProgress, Reading, Searched, Searcher, SplitRequest


@dataclass(frozen=True)
class Evaluation:
    """What one search over one split gave; everything in the order of the split."""

    texts: list[str]  # best hypotheses, as text
    hypotheses: list[list[Hypothesis]]  # n-best, best first
    scores: dict[str, Score]
    by_source_length: list[dict]
    seconds: float  # of reading the sources and searching
    references: str  # SHA-256 of the references
    quality: SearchQuality | None = None  # how well was searched, where that was asked


class Evaluator(Searcher):
    """A trained model, or several as one, with its codecs: searches splits, scores them."""

    def evaluate(
        self,
        pairs: Sequence[Pair],
        decoding: DecodingConfig,
        metrics: MetricsConfig,
        on_progress: OnProgress | None = None,
    ) -> Evaluation:
        """Search a split and score it: the metrics, and what its probabilities tell, by source length too."""
        (found,) = self.evaluate_each(pairs, [decoding], metrics, on_progress)
        if isinstance(found, Exception):
            raise found
        return found

    def evaluate_each(
        self,
        pairs: Sequence[Pair],
        decodings: Sequence[DecodingConfig],
        metrics: MetricsConfig,
        on_progress: OnProgress | None = None,
        quality: int | None = None,
    ) -> list[Evaluation | Exception]:
        """The same of several decodings in one pass: for each what evaluating it alone gives, or what it raises.

        quality: the width of the beam that each search is compared with, which is searched in the same pass.
        """
        split = self.encode(pairs)
        asked = SplitRequest(sources=[pair.source for pair in pairs], metrics=metrics)
        widest = [] if quality is None else [widest_beam(decoding, quality) for decoding in decodings]
        searched: list[DecodingConfig] = list(decodings)
        searched += [each for place, each in enumerate(widest) if each not in [*decodings, *widest[:place]]]
        found, losses = self.search_each(split, searched, on_progress, asked, with_losses=True)
        evaluations: list[Evaluation | Exception] = []
        for place, (each, decoding) in enumerate(zip(found, decodings, strict=False)):
            best = found[searched.index(widest[place])] if widest else None
            error = each.error or (best.error if best is not None else None)
            if error is not None:
                evaluations.append(error)
                continue
            evaluation = self._evaluation(pairs, split, each, losses[Reading.of(decoding)], metrics)
            if best is not None and quality is not None:
                told = self._quality(pairs, split, decoding, quality, each, best, metrics)
                evaluation = replace(evaluation, quality=told)
            evaluations.append(evaluation)
        return evaluations

    def _quality(
        self,
        pairs: Sequence[Pair],
        split: EncodedSplit,
        decoding: DecodingConfig,
        width: int,
        found: Searched,
        widest: Searched,
        metrics: MetricsConfig,
    ) -> SearchQuality:
        return search_quality(
            decoding,
            width,
            found.hypotheses,
            widest.hypotheses,
            [
                [self.text(each, pair.source) for each in best]
                for best, pair in zip(found.hypotheses, pairs, strict=True)
            ],
            [pair.references for pair in pairs],
            int(split.target_lengths.sum()),
            metrics,
            found.seconds,
            self.target.config.eos,
        )

    def _evaluation(
        self, pairs: Sequence[Pair], split: EncodedSplit, found: Searched, losses: Losses, metrics: MetricsConfig
    ) -> Evaluation:
        n_best = [
            [self.text(each, pair.source) for each in best] for best, pair in zip(found.hypotheses, pairs, strict=True)
        ]
        texts = [several[0] for several in n_best]
        references = [pair.references for pair in pairs]
        lengths = [len(self.source.tokenize(pair.source)) for pair in pairs]
        labels = torch.from_numpy(split.label_lengths(self.target.config.eos)).double()

        def score(rows: list[int]) -> dict[str, Score]:
            scores = score_corpus(metrics, [texts[row] for row in rows], [references[row] for row in rows])
            return scores | _losses(losses.forced[rows], losses.free[rows], labels[rows], len(rows))

        everything = list(range(len(pairs)))
        by_length = [
            {
                "from": low,
                "to": high,
                "n": len(rows),
                "scores": {name: vars(value) for name, value in score(rows).items()},
            }
            for low, high, rows in buckets(lengths)
        ]
        scores = score(everything) | list_scores(n_best, references)
        if any(len(several) > 1 for several in n_best):
            scores |= {f"oracle_{name}": oracle(name, n_best, references, metrics) for name in metrics.report}
        digest = hashlib.sha256("\n".join("\t".join(texts) for texts in references).encode()).hexdigest()
        return Evaluation(texts, found.hypotheses, scores, by_length, found.seconds, digest)


def _losses(forced: Tensor, free: Tensor, labels: Tensor, n: int) -> dict[str, Score]:
    """Perplexity exp(Σ nll / Σ labels), teacher-forced and unsmoothed; the loss per label with own tokens fed back.

    And the mean nll of a target in bits; and the mean probability of the target, in per cent: the share of ancestral
    samples that would be right.
    """
    total = float(labels.sum())
    return {
        "perplexity": Score(perplexity(float(forced.sum()), total), "teacher-forced, unsmoothed, labels incl. eos", n),
        "free_running_loss": Score(float(free.sum()) / total, "argmax fed back, nats per label incl. eos", n),
        "nll_bits": Score(float(forced.sum()) / math.log(2) / n, "teacher-forced, unsmoothed, bits per target", n),
        "expected_exact_match": Score(100.0 * float((-forced).exp().mean()), "mean probability of the target", n),
    }
