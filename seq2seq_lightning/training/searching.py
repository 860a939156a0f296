"""Searching a whole split with a trained model, in one pass for as many decodings as are asked for."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.data.example import EncodedSplit, Pair, encode_split
from seq2seq_lightning.data.loader import EvaluationLoader
from seq2seq_lightning.decoding import DecodingConfig, ForcedLength, Requests, search
from seq2seq_lightning.decoding.config import SearchPrecision
from seq2seq_lightning.decoding.protocol import Details, Hypothesis, SpecialIds
from seq2seq_lightning.decoding.trace import traced
from seq2seq_lightning.metrics import MetricsConfig
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.text.codec import SourceCodec, TargetCodec
from seq2seq_lightning.text.copying import Copying
from seq2seq_lightning.training.asked import banned_ids
from seq2seq_lightning.training.devices import synchronise
from seq2seq_lightning.training.ensemble import EnsembleModel
from seq2seq_lightning.training.sentence_nll import sentence_nll
from seq2seq_lightning.training.unknown_words import replaces_unknown, words_copied
from seq2seq_lightning.training.utilities import utility_of

LONGEST = 512  # tokens; a batch has at most as many positions as decoding.batch_size sentences of this length
OnProgress = Callable[[int, int], None]  # (sentences done, sentences in all)


@dataclass(frozen=True)
class SplitRequest:
    """What is asked of the search of a split besides its decoding."""

    requests: Requests = field(default_factory=Requests)  # per sentence, in the order of the split
    details: Details = field(default_factory=Details)
    sources: Sequence[str] = ()  # the texts of the split, which metrics of text may need
    metrics: MetricsConfig = field(default_factory=MetricsConfig)  # the settings of such metrics
    trace: int = 0  # of each step tell so many most probable tokens, and what was fed; 0: no traces
    first_place: int = 0  # of the split's first sentence in the file it is part of, which noise is drawn by

    def source(self, row: int) -> str:
        """The text of a sentence, empty where no texts were given."""
        return self.sources[row] if self.sources else ""


@dataclass
class Searched:
    """What one of several decodings found in a split, or why it found nothing."""

    hypotheses: list[list[Hypothesis]]
    seconds: float = 0.0  # of its own search, and of reading the sources, which all share
    error: Exception | None = None


@dataclass(frozen=True)
class _Begun:
    """A batch whose sources have been read."""

    model: Seq2Seq | EnsembleModel  # that has read them
    batch: Batch
    memory: Any
    state: Any
    seconds: float


@dataclass(frozen=True)
class Losses:
    """Per sentence the negative log-likelihood of its labels, (sentences,) float64: teacher-forced, and fed its own."""

    forced: Tensor
    free: Tensor


class Reading(NamedTuple):
    """What decodings have in common that share one reading of the sources."""

    batch_size: int
    precision: SearchPrecision

    @classmethod
    def of(cls, decoding: DecodingConfig) -> Reading:
        """The one that a decoding needs."""
        return cls(decoding.batch_size, decoding.precision)


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


class Searcher:
    """A trained model, or several as one, with its codecs: searches splits."""

    def __init__(
        self, model: Seq2Seq | EnsembleModel, source: SourceCodec, target: TargetCodec, ids: SpecialIds
    ) -> None:
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

    def word(self, token: int, source: str) -> str:
        """The token that an id stands for in an output for this source; marks by their names."""
        extra = self.copying.unknown(source) if token >= len(self.target.vocabulary) else ()
        return self.target.vocabulary.decode([token], extra)[0]

    def batches(self, split: EncodedSplit, size: int) -> Iterator[Batch]:
        """The split in batches of similar length, on the model's device; sentences beyond LONGEST in smaller ones."""
        loader = EvaluationLoader(split, size, self.ids, target_eos=self.target.config.eos, longest=LONGEST)
        for batch in loader:
            yield batch.to(self.device)

    def search(
        self,
        split: EncodedSplit,
        decoding: DecodingConfig,
        on_progress: OnProgress | None = None,
        asked: SplitRequest | None = None,
    ) -> list[list[Hypothesis]]:
        """The n-best hypotheses of every sentence, in the order of the split."""
        (found,), _ = self.search_each(split, [decoding], on_progress, asked)
        if found.error is not None:
            raise found.error
        return found.hypotheses

    def search_each(
        self,
        split: EncodedSplit,
        decodings: Sequence[DecodingConfig],
        on_progress: OnProgress | None = None,
        asked: SplitRequest | None = None,
        with_losses: bool = False,
    ) -> tuple[list[Searched], dict[Reading, Losses]]:
        """What each decoding finds, each batch of sources read once for all that search as many sentences at once.

        So nothing that a decoding finds depends on which others there are: they share the encoder's output, and batches
        are those it would have alone. One that raises is left out of the rest. With losses: those of the targets, from
        the same reading.
        """
        asked = asked or SplitRequest()
        found = [Searched([[] for _ in range(len(split))]) for _ in decodings]
        losses: dict[Reading, Losses] = {}
        done, total = 0, len(split) * len(decodings)
        with evaluating(self.model):
            for reading in dict.fromkeys(Reading.of(decoding) for decoding in decodings):
                chosen = [own for own in zip(found, decodings, strict=True) if Reading.of(own[1]) == reading]
                if with_losses:
                    losses[reading] = Losses(*(torch.zeros(len(split), dtype=torch.float64) for _ in range(2)))
                with self._in_precision(reading.precision) as model:
                    for batch in self.batches(split, reading.batch_size):
                        begun = self._begin(model, batch)
                        for each, decoding in chosen:
                            self._search_batch(begun, decoding, asked, each)
                            done += len(batch)
                            if on_progress is not None:
                                on_progress(done, total)
                        if with_losses:
                            self._add_losses(begun, losses[reading])
        return found, losses

    @contextmanager
    def _in_precision(self, precision: SearchPrecision) -> Iterator[Seq2Seq | EnsembleModel]:
        """The model itself, or a copy whose weights are rounded once; what a cell computes in more, it goes on to."""
        if precision is SearchPrecision.as_trained:
            yield self.model
            return
        with torch.autocast(self.device.type, torch.bfloat16):
            yield copy.deepcopy(self.model).bfloat16()

    def _begin(self, model: Seq2Seq | EnsembleModel, batch: Batch) -> _Begun:
        start = time.perf_counter()
        memory, state = model.start(batch.source, batch.source_lengths, batch.copy_ids)
        synchronise(self.device)
        return _Begun(model, batch, memory, state, time.perf_counter() - start)

    def _search_batch(self, begun: _Begun, decoding: DecodingConfig, asked: SplitRequest, found: Searched) -> None:
        """Search one batch whose sources have been read."""
        if found.error is not None:
            return
        start, batch, rows = time.perf_counter(), begun.batch, begun.batch.indices.tolist()
        try:
            requests = replace(asked.requests, banned=banned_ids(decoding.banned, self.target))
            hypotheses = search(
                begun.model,
                begun.state,
                begun.memory,
                batch.source_lengths,
                decoding,
                self.ids,
                forced_lengths=batch.target_lengths if decoding.forced_length is ForcedLength.reference else None,
                requests=requests.of(rows),
                with_eos=self.target.config.eos,
                with_token_log_probs=asked.details.token_log_probs,
                with_attention=asked.details.attention or replaces_unknown(decoding),
                attended_lengths=self.model.attended_lengths(batch.source_lengths),
                places=batch.indices + asked.first_place,
                utility=utility_of(
                    decoding,
                    lambda place, tokens: self.copying.decode(tokens, asked.source(rows[place])),
                    asked.metrics,
                ),
            )
        except Exception as error:  # told at the end: other decodings of the pass go on
            found.error = error
            return
        if asked.trace:
            lengths = self.model.attended_lengths(batch.source_lengths).tolist()
            hypotheses = traced(begun.model, begun.state, begun.memory, hypotheses, self.ids, asked.trace, lengths)
        if replaces_unknown(decoding):
            sources = [asked.source(row) for row in rows]
            hypotheses = words_copied(hypotheses, sources, self.copying, self.ids, asked.details.attention)
        for row, best in zip(rows, hypotheses, strict=True):
            found.hypotheses[row] = best
        found.seconds += begun.seconds + time.perf_counter() - start

    def _add_losses(self, begun: _Begun, losses: Losses) -> None:
        batch = begun.batch
        for free_running, sums in ((False, losses.forced), (True, losses.free)):
            nll = sentence_nll(begun.model, batch, begun.memory, begun.state, self.ids, free_running)
            sums[batch.indices] = nll.double().cpu()
