"""Which rows train together: plans of batches, deterministic in (seed, epoch)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from seq2seq_lightning.data.cutting import by_positions, by_sentences
from seq2seq_lightning.data.ordering import by_length, permutation, random_numbers
from seq2seq_lightning.data.plan import Lengths, Plan, Rows, padding_share
from seq2seq_lightning.errors import ConfigurationError, DataError

__all__ = [
    "BatchUnit",
    "BatchingConfig",
    "Sampling",
    "has_fixed_count",
    "padding_share",
    "plan_epoch",
    "plan_evaluation",
]


class BatchUnit(Enum):
    """What ``size`` counts."""

    sentences = "sentences"  # rows
    tokens = "tokens"  # positions of the padded source and target tensors: rows × (source_time + target_time)


class Sampling(Enum):
    """How an epoch visits the split."""

    epochs = "epochs"  # each row once
    replacement = "replacement"  # as many draws with replacement as there are rows


@dataclass
class BatchingConfig:
    """How rows become batches. Sizes are those of a global batch: of all ranks and micro-batches of one update."""

    # how large a batch may be, in `unit`
    size: int = 64
    # sentences | tokens (positions, padding included)
    unit: BatchUnit = BatchUnit.sentences
    # rows sorted together by length before batches are cut: 0 = none, fully random; -1 = the whole split
    pool: int = 0
    # the training split is a stream: so many pairs are read, encoded, shuffled and batched together, then the next;
    # 0: it is encoded as a whole before the training
    buffer: int = 0
    # cut a batch where the source length changes, so that the encoder needs no packing
    same_source_length: bool = False
    # so many epochs come in order of length, short batches first (a curriculum); 0: none, every order is random
    curriculum_epochs: int = 0
    # epochs: each row once per epoch; replacement: draws with replacement, as many as rows
    sampling: Sampling = Sampling.epochs
    # rows per batch and device where nothing is learnt: validation, test
    evaluation_size: int = 128
    # processes that prepare batches; 0: the training process itself
    workers: int = 0

    def __post_init__(self) -> None:
        leasts = {"size": 1, "evaluation_size": 1, "workers": 0, "pool": -1, "curriculum_epochs": 0, "buffer": 0}
        for key, least in leasts.items():
            value = getattr(self, key)
            if value < least:
                raise ConfigurationError(f"`data.batching.{key}` is {value}; set it to {least} or more.")
        if self.same_source_length and self.pool == 0:
            raise ConfigurationError(
                "`data.batching.same_source_length=true` cuts a batch where the source length changes, but "
                "`data.batching.pool=0` sorts nothing, so nearly every row would be a batch of its own. "
                "Set `data.batching.pool=-1` (or some thousands), or `data.batching.same_source_length=false`."
            )
        if self.buffer:
            self._check_buffer()

    def _check_buffer(self) -> None:
        """A stream is seen once an epoch, in its order, a buffer at a time."""
        told = f"`data.batching.buffer={self.buffer}`"
        if self.sampling is Sampling.replacement:
            raise ConfigurationError(
                f"{told} reads the training split in its order, but `data.batching.sampling=replacement` draws from "
                "all of it. Set `data.batching.sampling=epochs`, or `data.batching.buffer=0`."
            )
        if self.curriculum_epochs:
            raise ConfigurationError(
                f"{told} reads the training split in its order, but `data.batching.curriculum_epochs="
                f"{self.curriculum_epochs}` wants all of it in order of length. Set one of the two to 0."
            )
        if self.pool > self.buffer:
            raise ConfigurationError(
                f"`data.batching.pool={self.pool}` is more than the {told} that are there at a time. "
                "Set `data.batching.pool=-1` (all of them), or a larger buffer."
            )
        if self.unit is BatchUnit.sentences and self.size > self.buffer:
            raise ConfigurationError(
                f"`data.batching.size={self.size}` is more than the {told} that are there at a time. "
                f"Set `data.batching.buffer={100 * self.size}` (a hundred batches), or a smaller size."
            )


def plan_epoch(
    source_lengths: Lengths, label_lengths: Lengths, config: BatchingConfig, seed: int, epoch: int, first: int = 0
) -> Plan:
    """The global batches of an epoch in the order they are trained.

    source_lengths, label_lengths: (rows,), positions of each row in the two padded tensors. first: the pair of the
    split that is row 0, for messages.
    Rows are put in random order, sorted by length within pools, cut into batches, and the batches put in random order.
    In the epochs of a curriculum the whole split is one pool, and its batches stay in order of length; among rows of
    equal length chance decides as ever.
    """
    if config.unit is BatchUnit.tokens:
        _check_budget(source_lengths, label_lengths, config.size, first)
    rows = _visits(len(source_lengths), config.sampling, seed, epoch)
    is_ordered = epoch < config.curriculum_epochs
    pool = max(len(rows) if config.pool <= 0 or is_ordered else config.pool, 1)
    starts = []
    for start in range(0, len(rows), pool):
        part = rows[start : start + pool]
        if config.pool or is_ordered:
            part[:] = by_length(part, source_lengths, label_lengths)
        starts.append(start + _starts(source_lengths[part], label_lengths[part], config))
    bounds = np.concatenate([*starts, [len(rows)]]).astype(np.int64)
    batches = len(bounds) - 1
    order = np.arange(batches) if is_ordered else permutation(batches, seed, "batch_order", epoch)
    return Plan(rows, bounds, order)


def has_fixed_count(config: BatchingConfig, is_ordered: bool) -> bool:
    """Whether every such epoch has as many batches: lengths do not count, or those of all rows stand in order."""
    by_count = config.unit is BatchUnit.sentences and not config.same_source_length
    return by_count or (config.sampling is Sampling.epochs and (is_ordered or config.pool == -1))


def _starts(source_lengths: Lengths, label_lengths: Lengths, config: BatchingConfig) -> NDArray[np.int64]:
    """Where the batches of a pool begin."""
    if config.unit is BatchUnit.tokens:
        return by_positions(source_lengths, label_lengths, config.size, config.same_source_length)
    return by_sentences(source_lengths, config.size, config.same_source_length)


def plan_evaluation(
    source_lengths: Lengths, label_lengths: Lengths, size: int, world_size: int = 1, longest: int | None = None
) -> Plan:
    """Batches of at most ``size`` rows per rank, each row once, longest first (what exhausts memory does so at once).

    The batches are of nearly equal size, so that each of them has a row for every rank. longest: rows beyond this
    length come in batches of as many positions as ``size`` rows of it have, or alone; for one rank.
    """
    rows = len(source_lengths)
    if rows < world_size:
        raise DataError(
            f"A split of {rows} examples cannot be spread over {world_size} devices. "
            f"Give it at least {world_size} examples, or set `trainer.devices={max(rows, 1)}`."
        )
    longest_first = np.lexsort((label_lengths, source_lengths))[::-1]
    too_long: list[Rows] = []
    if longest is not None:
        assert world_size == 1, "ranks take their rows from the same batches"
        too_long = _cut_by_positions(longest_first, np.maximum(source_lengths, label_lengths), size, longest)
        longest_first = longest_first[sum(map(len, too_long)) :]
        rows = len(longest_first)
    batches = min(-(-rows // (size * world_size)), rows // world_size)
    evenly = np.array_split(longest_first, batches) if rows else []
    return Plan.of([*too_long, *evenly])


def _cut_by_positions(rows: Rows, lengths: Lengths, size: int, longest: int) -> list[Rows]:
    """Batches of the first rows, to the last one beyond the length: of at most size × longest positions, or one row."""
    too_long = np.flatnonzero(lengths[rows] > longest)
    batches, start = [], 0
    while len(too_long) and start <= too_long[-1]:
        count = size
        while count > 1 and int(lengths[rows[start : start + count]].max()) * count > size * longest:
            count -= 1
        batches.append(rows[start : start + count])
        start += count
    return batches


def _visits(rows: int, sampling: Sampling, seed: int, epoch: int) -> NDArray[np.int32]:
    """The rows an epoch visits, in random order: (rows,)."""
    if sampling is Sampling.epochs:
        return permutation(rows, seed, "order", epoch)
    draws = random_numbers(rows, seed, "order", epoch)
    draws *= rows
    return draws.astype(np.int32)


def _check_budget(source_lengths: Lengths, label_lengths: Lengths, budget: int, first: int) -> None:
    positions = source_lengths.astype(np.int32) + label_lengths
    too_long = np.flatnonzero(positions > budget)
    if len(too_long):
        row = too_long[0]
        raise DataError(
            f"Training pair {first + row + 1} has {positions[row]} positions (source and target), more than the "
            f"`data.batching.size={budget}` of a batch counted in tokens ({len(too_long)} such pairs). "
            f"Set `data.batching.size={positions.max()}` or more, or leave such pairs out with `data.max_length`."
        )
