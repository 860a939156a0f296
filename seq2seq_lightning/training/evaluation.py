"""Searching and scoring a whole split with a trained model."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.data.example import EncodedSplit, Pair, encode_split
from seq2seq_lightning.data.loader import EvaluationLoader
from seq2seq_lightning.decoding import DecodingConfig, ForcedLength, Requests, search
from seq2seq_lightning.decoding.protocol import Hypothesis, SpecialIds
from seq2seq_lightning.losses import perplexity
from seq2seq_lightning.metrics import MetricsConfig, Score, buckets, score_corpus
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.teacher_forcing import ArgMax
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.text.copying import Copying
from seq2seq_lightning.training.asked import banned_ids
from seq2seq_lightning.training.label_losses import label_log_probs

OnProgress = Callable[[int, int], None]  # (sentences done, sentences in all)


@dataclass(frozen=True)
class Evaluation:
    """What one search over one split gave; everything in the order of the split."""

    texts: list[str]  # best hypotheses, as text
    hypotheses: list[list[Hypothesis]]  # n-best, best first
    scores: dict[str, Score]
    by_source_length: list[dict]
    seconds: float  # of search alone
    references: str  # SHA-256 of the references


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients, and the mode as it was found afterwards."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)


class Evaluator:
    """A trained model with its codecs: searches splits, scores them."""

    def __init__(self, model: Seq2Seq, source: SourceCodec, target: TargetCodec, ids: SpecialIds) -> None:
        self.model, self.source, self.target, self.ids = model, source, target, ids
        self.copying = Copying(source, target)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def encode(self, pairs: Sequence[Pair]) -> EncodedSplit:
        """The ids of pairs."""
        return encode_split(pairs, self.source, self.target, self.model.copies)

    def text(self, hypothesis: Hypothesis, source: str) -> str:
        """What was written for a source: tokens that only this source has mean its words."""
        return self.copying.decode(hypothesis.tokens, source)

    def batches(self, split: EncodedSplit, size: int) -> Iterator[Batch]:
        """The split in batches of similar length, on the model's device."""
        loader = EvaluationLoader(split, size, self.ids, target_eos=self.target.config.eos)
        for batch in loader:
            yield batch.to(self.device)

    def search(
        self,
        split: EncodedSplit,
        decoding: DecodingConfig,
        on_progress: OnProgress | None = None,
        requests: Requests | None = None,
        **wanted: bool,
    ) -> list[list[Hypothesis]]:
        """The n-best hypotheses of every sentence, in the order of the split, as are the requests.

        wanted: `with_token_log_probs`, `with_attention`, as `decoding.search` takes them.
        """
        found: list[list[Hypothesis]] = [[] for _ in range(len(split))]
        requests = replace(requests or Requests(), banned=banned_ids(decoding.banned, self.target))
        done = 0
        with evaluating(self.model):
            for batch in self.batches(split, decoding.batch_size):
                memory, state = self.model.start(batch.source, batch.source_lengths, batch.copy_ids)
                forced = batch.target_lengths if decoding.forced_length is ForcedLength.reference else None
                hypotheses = search(
                    self.model,
                    state,
                    memory,
                    batch.source_lengths,
                    decoding,
                    self.ids,
                    forced_lengths=forced,
                    requests=requests.of(batch.indices.tolist()),
                    with_eos=self.target.config.eos,
                    attended_lengths=self.model.attended_lengths(batch.source_lengths),
                    **wanted,
                )
                for index, best in zip(batch.indices.tolist(), hypotheses, strict=True):
                    found[index] = best
                done += len(batch.indices)
                if on_progress is not None:
                    on_progress(done, len(split))
        return found

    def nll(self, split: EncodedSplit, size: int, free_running: bool = False) -> Tensor:
        """Per sentence: summed negative log-likelihood of its labels (sentences,), float64, in the order of the split.

        Teacher-forced, or with the model's own best tokens fed back.
        """
        sums = torch.zeros(len(split), dtype=torch.float64)
        with evaluating(self.model):
            for batch in self.batches(split, size):
                gold_mask = None
                if free_running:
                    gold_mask = torch.zeros_like(batch.target_inputs, dtype=torch.bool)
                    gold_mask[:, 0] = True
                readouts = self.model.readouts(
                    batch.source, batch.source_lengths, batch.target_inputs, gold_mask, ArgMax(), batch.copy_ids
                )
                log_probs = label_log_probs(self.model, readouts, batch.target_labels, self.ids.pad)
                sums[batch.indices] = -log_probs.double().sum(1).cpu()
        return sums

    def evaluate(
        self,
        pairs: Sequence[Pair],
        decoding: DecodingConfig,
        metrics: MetricsConfig,
        on_progress: OnProgress | None = None,
    ) -> Evaluation:
        """Search a split and score it: the metrics, and what its probabilities tell, by source length too."""
        split = self.encode(pairs)
        start = time.perf_counter()
        hypotheses = self.search(split, decoding, on_progress)
        seconds = time.perf_counter() - start
        texts = [self.text(best[0], pair.source) for best, pair in zip(hypotheses, pairs, strict=True)]
        references = [pair.references for pair in pairs]
        lengths = [len(self.source.tokenize(pair.source)) for pair in pairs]
        forced = self.nll(split, decoding.batch_size)
        free = self.nll(split, decoding.batch_size, free_running=True)
        labels = torch.from_numpy(split.label_lengths(self.target.config.eos)).double()

        def score(rows: list[int]) -> dict[str, Score]:
            scores = score_corpus(metrics, [texts[row] for row in rows], [references[row] for row in rows])
            return scores | _losses(forced[rows], free[rows], labels[rows], len(rows))

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
        digest = hashlib.sha256("\n".join("\t".join(texts) for texts in references).encode()).hexdigest()
        return Evaluation(texts, hypotheses, score(everything), by_length, seconds, digest)


def _losses(forced: Tensor, free: Tensor, labels: Tensor, n: int) -> dict[str, Score]:
    """Perplexity exp(Σ nll / Σ labels), teacher-forced and unsmoothed; the loss per label with own tokens fed back.

    And the mean probability of the target, in per cent: the share of ancestral samples that would be right.
    """
    total = float(labels.sum())
    return {
        "perplexity": Score(perplexity(float(forced.sum()), total), "teacher-forced, unsmoothed, labels incl. eos", n),
        "free_running_loss": Score(float(free.sum()) / total, "argmax fed back, nats per label incl. eos", n),
        "expected_exact_match": Score(100.0 * float((-forced).exp().mean()), "mean probability of the target", n),
    }
