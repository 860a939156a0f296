"""The batches of several replicas as one: each replica's own rows in its own order, padded to a common width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seq2seq_lightning.data.batch import SpecialIds, collate
from seq2seq_lightning.data.bucketing import BatchingConfig
from seq2seq_lightning.data.example import EncodedSplit
from seq2seq_lightning.data.loader import TrainingLoader


@dataclass(frozen=True)
class Share:
    """What of a batch is one replica's."""

    rows: int
    source_time: int  # the width its batch would have alone
    target_time: int
    labels: int
    tokens: int  # real source and target positions

    @property
    def positions(self) -> int:
        """Of its batch alone, padding included."""
        return self.rows * (self.source_time + self.target_time)


@dataclass(frozen=True)
class ReplicaBatch:
    """Rows of all replicas, those of the first before those of the second, as many for each; fillers have no label."""

    source: Tensor  # (rows, source_time)
    source_lengths: Tensor  # (rows,)
    target_inputs: Tensor  # (rows, target_time)
    target_labels: Tensor  # (rows, target_time)
    places: Tensor  # (rows,): the place in the replica's own batch
    shares: list[Share]

    @property
    def rows(self) -> int:
        """Of each replica, fillers included."""
        return len(self.source) // len(self.shares)

    def to(self, device: torch.device | str) -> ReplicaBatch:
        """Replicas are trained where batches are made."""
        del device
        return self


class _Order(TrainingLoader):
    """The order in which one replica reads the split."""

    def take(self) -> NDArray[np.int64]:
        """The rows of the next batch."""
        rows = self.plan[self.position]
        self._advance()
        return rows


class ReplicaLoader:
    """The batches of the whole training of several replicas, which may be left and gone on with between any two."""

    def __init__(
        self,
        split: EncodedSplit,
        batching: BatchingConfig,
        ids: SpecialIds,
        *,
        seeds: Sequence[int],
        updates: int,
        target_eos: bool,
    ) -> None:
        self.split, self.ids, self.updates, self.target_eos = split, ids, updates, target_eos
        self.orders = [
            _Order(split, batching, ids, seed=seed, updates=updates, target_eos=target_eos) for seed in seeds
        ]
        self.label_lengths = split.label_lengths(target_eos)

    def __len__(self) -> int:
        return self.updates

    def __iter__(self) -> Iterator[ReplicaBatch]:
        while self.orders[0].update < self.updates:
            yield self.join([order.take() for order in self.orders])

    def join(self, chosen: Sequence[NDArray[np.int64]]) -> ReplicaBatch:
        """The batch in which each replica reads these rows of the split."""
        height = max(len(rows) for rows in chosen)
        filled = np.concatenate([np.concatenate((rows, np.repeat(rows[:1], height - len(rows)))) for rows in chosen])
        places = np.tile(np.arange(height), len(chosen))
        batch = collate(self.split, filled, places, 1, 1, self.ids, self.target_eos)
        for replica, rows in enumerate(chosen):
            batch.target_labels[replica * height + len(rows) : (replica + 1) * height] = self.ids.pad
        shares = [self._share(rows) for rows in chosen]
        return ReplicaBatch(
            batch.source, batch.source_lengths, batch.target_inputs, batch.target_labels, batch.places, shares
        )

    def _share(self, rows: NDArray[np.int64]) -> Share:
        sources, targets = self.split.source_lengths[rows], self.label_lengths[rows]
        labels = int(targets.sum())
        return Share(len(rows), int(sources.max()), int(targets.max()), labels, labels + int(sources.sum()))

    def state_dict(self) -> dict[str, list[dict[str, int]]]:
        """Where each replica stands."""
        return {"replicas": [order.state_dict() for order in self.orders]}

    def load_state_dict(self, state: dict[str, list[dict[str, int]]]) -> None:
        """Go on from there."""
        for order, its in zip(self.orders, state["replicas"], strict=True):
            order.load_state_dict(its)
