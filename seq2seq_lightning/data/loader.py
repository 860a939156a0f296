"""Loaders with a position of their own, so that training resumes at the very next batch.

They are no torch DataLoaders: Lightning leaves them alone and keeps the training loader's ``state_dict`` in the
checkpoint. A DataLoader is used inside, over a plan already made, where worker processes are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from seq2seq_lightning.data.batch import Batch, SpecialIds, collate
from seq2seq_lightning.data.bucketing import BatchingConfig, padding_share, plan_evaluation
from seq2seq_lightning.data.epochs import Epochs
from seq2seq_lightning.data.example import EncodedSplit, Parts
from seq2seq_lightning.data.plan import Plan
from seq2seq_lightning.data.recutting import Recutting
from seq2seq_lightning.errors import CheckpointError, DataError


@dataclass(frozen=True)
class MicroBatches(Dataset[Batch]):
    """The micro-batches of one rank over a plan of global batches.

    A global batch is dealt like cards to world_size × accumulate slots; micro-batch m of rank r is slot
    m × world_size + r. A slot that gets no row gets one filler row, so that every rank has the same count.
    """

    split: EncodedSplit
    plan: Plan
    ids: SpecialIds
    target_eos: bool
    rank: int
    world_size: int
    accumulate: int
    recutting: Recutting | None = None
    first_update: int = 0  # the update of the plan's first batch, which chance in cutting is drawn by

    def __len__(self) -> int:
        return len(self.plan) * self.accumulate

    def __getitem__(self, index: int) -> Batch:
        update, micro = divmod(index, self.accumulate)
        batch = self.plan[update]
        split, rows = self.split, batch
        if self.recutting is not None:
            split, rows = self.recutting(split, batch, self.first_update + update), np.arange(len(batch))
        slot, slots = micro * self.world_size + self.rank, self.world_size * self.accumulate
        labels = int(split.target_lengths[rows].sum()) + len(batch) * int(self.target_eos)
        filler = slot >= len(batch)
        own = slice(0, 1) if filler else slice(slot, None, slots)
        places = np.array([slot]) if filler else np.arange(slot, len(batch), slots)
        return collate(
            split, rows[own], places, labels, len(batch), self.ids, self.target_eos, filler, indices=batch[own]
        )


class _Plain(Dataset[dict[str, Any]]):
    """Micro-batches as numbers and numpy arrays.

    Worker processes send these through a pipe, which takes a fraction of the time of a tensor in shared memory.
    """

    def __init__(self, share: MicroBatches) -> None:
        self.share = share

    def __len__(self) -> int:
        return len(self.share)

    def __getitem__(self, index: int) -> dict[str, Any]:
        batch = self.share[index]
        values = ((field.name, getattr(batch, field.name)) for field in fields(Batch))
        return {name: value.numpy() if isinstance(value, torch.Tensor) else value for name, value in values}


def _as_it_is(plain: Any) -> Any:
    """Torch would turn arrays into tensors."""
    return plain


def _batch(plain: dict[str, Any]) -> Batch:
    """The batch that a worker process sent."""
    values: dict[str, Any] = {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value for name, value in plain.items()
    }
    return Batch(**values)


class TrainingLoader:
    """This rank's training batches, part after part of the split; it owns the part and the position in it.

    A split in memory is one part, which comes again at each epoch; of a stream each buffer is one (``Parts``).
    updates: global batches of the whole training. Given, one iteration yields what is left of the whole training;
    None, one iteration yields what is left of the current part.
    """

    def __init__(
        self,
        split: Parts,
        batching: BatchingConfig,
        ids: SpecialIds,
        *,
        seed: int,
        updates: int | None = None,
        rank: int = 0,
        world_size: int = 1,
        accumulate: int = 1,
        target_eos: bool = True,
        recutting: Recutting | None = None,
    ) -> None:
        """recutting: subwords are cut anew at each update; batches are planned by the lengths in the split."""
        if not len(split):
            raise DataError("The training split has no examples. Check `data.train` and what was skipped.")
        self.split, self.batching, self.ids = split, batching, ids
        self.updates, self.target_eos, self.recutting = updates, target_eos, recutting
        self.epochs = Epochs(split, batching, seed, target_eos)
        self.rank, self.world_size, self.accumulate = rank, world_size, accumulate
        self.number = 0  # of the current part
        self.position = 0  # global batches of this part handed out
        self.update = 0  # global batches handed out in all
        self._planned: tuple[int, Plan] | None = None

    @property
    def part(self) -> EncodedSplit:
        """The current part."""
        return self.split.part(self.number)

    @property
    def plan(self) -> Plan:
        """The global batches of the current part."""
        if self._planned is None or self._planned[0] != self.number:
            self._planned = None  # two plans at once would take twice the memory
            self._planned = self.number, self.epochs.plan(self.number)
        return self._planned[1]

    @property
    def padding_share(self) -> float:
        """Pad positions ÷ all positions over the current part's global batches."""
        part = self.part
        return padding_share(self.plan, part.source_lengths, part.label_lengths(self.target_eos))

    def __len__(self) -> int:
        """This rank's micro-batches in a full iteration, those already handed out included.

        Lightning adds what it has seen to what it fetches after a resume, and compares the sum with this.
        """
        return self.accumulate * (len(self.plan) if self.updates is None else self.updates)

    def __iter__(self) -> Iterator[Batch]:
        if self.updates is None:
            yield from self._rest_of_part(len(self.plan))
            return
        while self.update < self.updates:
            yield from self._rest_of_part(self.updates - self.update)

    def _rest_of_part(self, at_most: int) -> Iterator[Batch]:
        """Micro-batches from the position on, for at most so many updates; the last one begins the next part."""
        plan = self.plan[self.position :][:at_most]
        ranks = self.rank, self.world_size, self.accumulate
        share = MicroBatches(self.part, plan, self.ids, self.target_eos, *ranks, self.recutting, self.update)
        for index, batch in enumerate(self._prepared(share), start=1):
            if index == 1 and self.batching.workers and len(plan) < at_most:
                self.split.ahead(self.number + 1)  # not before the worker processes are forked
            if index % self.accumulate == 0:
                self._advance()
            yield batch

    def _advance(self) -> None:
        """Count a global batch before its last micro-batch leaves: what is saved after it goes on behind it."""
        last = self.position + 1 == len(self.plan)
        self.number, self.position = (self.number + 1, 0) if last else (self.number, self.position + 1)
        self.update += 1

    def _prepared(self, share: MicroBatches) -> Iterator[Batch]:
        """The micro-batches in order, made here or by worker processes."""
        if not self.batching.workers:
            return (share[index] for index in range(len(share)))
        # its own generator: otherwise each start would draw from the global random stream
        options: dict[str, Any] = {"num_workers": self.batching.workers, "generator": torch.Generator()}
        return map(_batch, DataLoader(_Plain(share), batch_size=None, collate_fn=_as_it_is, **options))

    def state_dict(self) -> dict[str, int]:
        """Where training stands, equal on all ranks; a split in memory is one part, numbered as the epochs are."""
        return {"epoch": self.number, "position": self.position, "update": self.update}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Continue behind the global batch that was handed out last when the state was saved."""
        self.number, self.position, self.update = state["epoch"], state["position"], state["update"]
        if self.position >= len(self.plan):
            raise CheckpointError(
                f"The checkpoint stands at batch {self.position} of part {self.number}, which has {len(self.plan)} "
                "batches here: data or `data.batching` differ from those it was trained with. "
                "Restore them, or start anew with `fresh=true`."
            )


class EvaluationLoader:
    """This rank's share of a split in batches by length: over all ranks each example exactly once.

    Every rank has the same number of batches. ``indices`` of a batch restore the order of the split. longest: of what
    may stand in a full batch; for one rank, see ``plan_evaluation``.
    """

    def __init__(
        self,
        split: EncodedSplit,
        size: int,
        ids: SpecialIds,
        *,
        rank: int = 0,
        world_size: int = 1,
        target_eos: bool = True,
        longest: int | None = None,
    ) -> None:
        plan = plan_evaluation(split.source_lengths, split.label_lengths(target_eos), size, world_size, longest)
        self._share = MicroBatches(split, plan, ids, target_eos, rank, world_size, accumulate=1)

    def __len__(self) -> int:
        return len(self._share)

    def __iter__(self) -> Iterator[Batch]:
        return (self._share[index] for index in range(len(self._share)))
