"""Validation: teacher-forced and free-running losses, and the scores of the decoded split, summed over ranks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from seq2seq_lightning.data.batch import Batch
from seq2seq_lightning.data.example import Pair
from seq2seq_lightning.decoding import Requests, search
from seq2seq_lightning.decoding.protocol import SpecialIds
from seq2seq_lightning.losses import perplexity
from seq2seq_lightning.metrics import MetricsConfig, higher_is_better, score_corpus
from seq2seq_lightning.models.seq2seq import Seq2Seq
from seq2seq_lightning.teacher_forcing import ArgMax
from seq2seq_lightning.text.copying import Copying
from seq2seq_lightning.training.asked import banned_ids
from seq2seq_lightning.training.diagnostics import PositionCurves, accuracies, output_diagnostics
from seq2seq_lightning.training.label_losses import label_losses
from seq2seq_lightning.training.settings import ValidationConfig
from seq2seq_lightning.training.source_gradients import SourceGradients, mean_norms
from seq2seq_lightning.training.unknown_words import replaces_unknown, words_copied
from seq2seq_lightning.training.utilities import utility_of


@dataclass(frozen=True)
class Decoded:
    """What search found for a sentence."""

    tokens: list[int]
    finished: bool


class Validation:
    """Collects one pass over the validation split; `conclude` gives the logged values, equal on every rank."""

    def __init__(
        self,
        config: ValidationConfig,
        metrics: MetricsConfig,
        pairs: Sequence[Pair],
        codecs: Copying,
        ids: SpecialIds,
    ) -> None:
        self.config = config
        self.metrics = metrics
        self.pairs = pairs
        self.codecs = codecs
        self.ids = ids
        self._tokenized: dict[int, list[str]] = {}
        self.reset()

    @property
    def mode(self) -> str:
        """Whether the monitored value should be as large (`max`) or as small (`min`) as possible."""
        name = self.config.monitor.removeprefix("val/")
        return "max" if name == "teacher_forced_accuracy" or higher_is_better(name) else "min"

    def better(self, new: float, old: float | None) -> bool:
        """Whether the new value of the monitored key is an improvement by more than `min_delta`."""
        if old is None:
            return not math.isnan(new)
        gain = new - old if self.mode == "max" else old - new
        return gain > self.config.min_delta

    def reset(self) -> None:
        """Forget the last pass."""
        self.nll = self.free_running_nll = 0.0
        self.labels = self.correct = 0
        self.decoded: dict[int, Decoded] = {}
        self.curves = PositionCurves()
        self.gradients = SourceGradients(self.config.gradient_position or 1)

    def measure(self, model: Seq2Seq, batch: Batch) -> None:
        """Add one batch; the model is in evaluation mode."""
        forced = model.readouts(batch.source, batch.source_lengths, batch.target_inputs, copy_ids=batch.copy_ids)
        losses = label_losses(model, forced, batch, self.ids.pad, count_correct=True)
        self.nll += float(losses.nll)
        self.labels += int(losses.count)
        self.correct += int(losses.correct) if losses.correct is not None else 0
        if self.config.diagnostics:
            self.curves.add_teacher_forced(model, forced, batch.target_labels, self.ids.pad)
        if self.config.free_running_loss or self.config.diagnostics:
            gold_mask = torch.zeros_like(batch.target_inputs, dtype=torch.bool)
            gold_mask[:, 0] = True
            free = model.readouts(
                batch.source, batch.source_lengths, batch.target_inputs, gold_mask, ArgMax(), batch.copy_ids
            )
            losses = label_losses(model, free, batch, self.ids.pad)
            self.free_running_nll += float(losses.nll)
            if self.config.diagnostics:
                self.curves.add_free_running(model, free, batch.target_labels, self.ids.pad)
        if self.config.gradient_position is not None:
            self.gradients.add(model, batch, self.ids.pad)
        self._decode(model, batch)

    def _decode(self, model: Seq2Seq, batch: Batch) -> None:
        if not self.config.metrics:
            return
        wanted = torch.arange(len(batch.indices))
        if self.config.sentences is not None:
            wanted = (batch.indices < self.config.sentences).nonzero()[:, 0]
        if not len(wanted):
            return
        rows = wanted.to(batch.source.device)
        lengths = batch.source_lengths[wanted]
        longest, copy_ids = int(lengths.max()), None
        if batch.copy_ids is not None:
            copy_ids = batch.copy_ids.index_select(0, rows)[:, :longest]

        def text(place: int, tokens: Sequence[int]) -> str:
            return self.codecs.decode(tokens, self.pairs[int(batch.indices[wanted[place]])].source)

        memory, state = model.start(batch.source.index_select(0, rows)[:, :longest], lengths, copy_ids)
        hypotheses = search(
            model,
            state,
            memory,
            lengths,
            self.config.decoding,
            self.ids,
            requests=Requests(banned=banned_ids(self.config.decoding.banned, self.codecs.target)),
            with_eos=self.codecs.target.config.eos,
            with_attention=replaces_unknown(self.config.decoding),
            attended_lengths=model.attended_lengths(lengths),
            places=batch.indices[wanted],
            utility=utility_of(self.config.decoding, text, self.metrics),
        )
        if replaces_unknown(self.config.decoding):
            sources = [self.pairs[index].source for index in batch.indices[wanted].tolist()]
            hypotheses = words_copied(hypotheses, sources, self.codecs, self.ids, with_attention=False)
        for index, best in zip(batch.indices[wanted].tolist(), hypotheses, strict=True):
            self.decoded[index] = Decoded(best[0].tokens, best[0].finished)

    def conclude(self) -> dict[str, float]:
        """The logged values of this pass over all ranks; forgets them."""
        sums = [self.nll, self.free_running_nll, self.labels, self.correct]
        shares: list[Any] = [(sums, self.decoded, self.curves.plain(), self.gradients.plain())]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            shares *= torch.distributed.get_world_size()
            torch.distributed.all_gather_object(shares, shares[0])
        nll, free_nll, labels, correct = (sum(parts) for parts in zip(*(share[0] for share in shares), strict=True))
        decoded = {index: found for share in shares for index, found in share[1].items()}
        self.reset()
        loss = nll / labels
        values = {"val/loss": loss, "val/perplexity": perplexity(nll, labels)}
        values["val/teacher_forced_accuracy"] = 100.0 * correct / labels
        if self.config.free_running_loss:
            values["val/free_running_loss"] = free_nll / labels
        values |= {f"val/{name}": value for name, value in accuracies(share[2] for share in shares).items()}
        values |= {f"val/{name}": value for name, value in mean_norms(share[3] for share in shares).items()}
        return values | self._scores(decoded)

    def _scores(self, decoded: dict[int, Decoded]) -> dict[str, float]:
        if not decoded:
            return {}
        order = sorted(decoded)
        hypotheses = [self.codecs.decode(decoded[index].tokens, self.pairs[index].source) for index in order]
        references = [self.pairs[index].references for index in order]
        scores = score_corpus(self.metrics, hypotheses, references, names=self.config.metrics)
        values = {name: score.value for name, score in scores.items()}
        finished = [decoded[index].finished for index in order] if self.codecs.target.config.eos else None
        outputs = [decoded[index].tokens for index in order]
        values |= output_diagnostics(outputs, [self._reference_tokens(index) for index in order], finished)
        return {f"val/{name}": value for name, value in values.items()}

    def _reference_tokens(self, index: int) -> list[str]:
        """The target of a pair in tokens, split once."""
        if index not in self._tokenized:
            self._tokenized[index] = self.codecs.target.tokenize(self.pairs[index].target)
        return self._tokenized[index]
