"""Memory for the positions of a loop, made once and used again, with every view of it that the loop needs."""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from seq2seq_lightning.models.replicas.reach import Reach, Some

SHORTEST = 16  # positions that there is room for at least


class Room:
    """Named tensors (positions + 1, replicas, rows, size), and the same of some of the replicas.

    What stands in them where nothing was written is old, and finite.
    """

    telling: ClassVar[str]  # the tensor that is finite only if all are
    kept: ClassVar[float] = math.inf  # numbers that it may hold to be used again
    _free: ClassVar[dict[Any, list[Any]]] = defaultdict(list)  # what is used by nobody, by kind and shape

    key: Any
    reach: Reach

    def __init__(self, replicas: int, rows: int, sizes: Mapping[str, int], time: int, like: Tensor) -> None:
        self.capacity, self.replicas, self.rows = time, replicas, rows
        self.held = {name: like.new_zeros(time + 1, replicas, rows, size) for name, size in sizes.items()}
        self._whole = Some(0, replicas, 1)
        self._parts: dict[Some, Self] = {}  # all but the whole
        self._known: set[Some] = set()
        self.look()

    @classmethod
    def take(cls, reach: Reach, sizes: Mapping[str, int], like: Tensor) -> Self:
        """Room for as many positions."""
        replicas, rows = reach.lengths.shape
        key = (cls, replicas, rows, like.dtype, *sizes.values())
        free = cls._free[key]
        if free and free[-1].capacity < reach.time:
            free.clear()
        taken: Self = free.pop() if free else cls(replicas, rows, sizes, max(reach.time, SHORTEST), like)
        taken.key, taken.reach = key, reach
        taken._known = set()
        return taken

    def give_back(self) -> None:
        """Let others use it."""
        is_small = sum(each.numel() for each in self.held.values()) <= self.kept
        if is_small and math.isfinite(float(self.held[self.telling][: self.reach.time + 1].sum())):
            self._free[self.key].append(self)

    def by_row(self, name: str, begin: int = 0) -> Tensor:
        """What stands at all positions, (replicas, rows, time, size): a copy. begin: the first."""
        chosen = self.held[name][begin : begin + self.reach.time].permute(1, 2, 0, 3)
        return chosen.clone(memory_format=torch.contiguous_format)

    def look(self) -> None:
        """Make the views that a loop needs."""
        raise NotImplementedError

    def lend(self, part: Self, some: Some) -> None:
        """Hand what belongs to this use of the room alone to the room of some replicas."""
        raise NotImplementedError

    def among(self, some: Some) -> Self:
        """The room of some of the replicas, a part of this one."""
        if some == self._whole:
            return self
        if some not in self._parts:
            part = copy.copy(self)
            part.held = {name: each[:, some.slice] for name, each in self.held.items()}
            part.replicas = len(range(*some))
            part.look()
            self._parts[some] = part
        part = self._parts[some]
        if some not in self._known:
            self._known.add(some)
            part.reach = self.reach
            self.lend(part, some)
        return part

    def parts(self) -> list[Self]:
        """The room of the replicas that are still going, at each position."""
        found: dict[Some, Self] = {some: self.among(some) for some in dict.fromkeys(self.reach.going)}
        return [found[some] for some in self.reach.going]
