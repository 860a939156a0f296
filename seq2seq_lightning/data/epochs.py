"""The batches of each part of a training split, and how many an epoch has."""

from __future__ import annotations

from dataclasses import dataclass, field

from seq2seq_lightning.data.bucketing import BatchingConfig, has_fixed_count, plan_epoch
from seq2seq_lightning.data.example import EncodedSplit, Parts
from seq2seq_lightning.data.plan import Plan


@dataclass
class Epochs:
    """The epochs of a training. target_eos: whether the model learns to stop, which is a label more."""

    split: Parts
    batching: BatchingConfig
    seed: int
    target_eos: bool
    _counts: dict[int, int] = field(default_factory=dict)

    def plan(self, number: int, part: EncodedSplit | None = None) -> Plan:
        """The global batches of a part in the order they are trained: a pure function of rows, seed and number.

        part: its ids, where they are at hand.
        """
        part = self.split.part(number) if part is None else part
        lengths = part.source_lengths, part.label_lengths(self.target_eos)
        return plan_epoch(*lengths, self.batching, self.seed, number, part.first)

    def batches(self, epoch: int) -> int:
        """How many batches an epoch has; planned anew only where chance decides it."""
        is_ordered = epoch < self.batching.curriculum_epochs
        first_alike = 0 if is_ordered else self.batching.curriculum_epochs
        planned = first_alike if has_fixed_count(self.batching, is_ordered) else epoch
        if planned not in self._counts:
            self._counts[planned] = sum(len(self.plan(number)) for number in self._parts(planned))
        return self._counts[planned]

    def positions(self, epoch: int) -> tuple[int, int]:
        """How many positions of an epoch's batches are real, and how many there are with padding, on both sides."""
        real = padded = 0
        for number in self._parts(epoch):
            part = self.split.part(number)
            plan = self.plan(number, part)
            for lengths in (part.source_lengths, part.label_lengths(self.target_eos)):
                of_side = plan.positions(lengths)
                real, padded = real + of_side[0], padded + of_side[1]
        return real, padded

    def padding_share(self, epoch: int) -> float:
        """Pad positions ÷ all positions of an epoch's batches, source and target together."""
        real, padded = self.positions(epoch)
        return 1.0 - real / padded if padded else 0.0

    def _parts(self, epoch: int) -> range:
        return range(epoch * self.split.parts_per_epoch, (epoch + 1) * self.split.parts_per_epoch)
