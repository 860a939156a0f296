"""Which replicas are still going at a position: loops work on these alone.

Replicas of unequal length make a loop as long as the longest, but not as wide: past its own last position a replica is
left out wherever memory permits. Weights stay where they are. A product over some of the replicas reads them in place
as long as these follow each other at equal distances, so the ones still going are rounded up to the next such sequence.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import torch
from torch import Tensor


class Some(NamedTuple):
    """Replicas at equal distances: ``range(begin, end, step)``."""

    begin: int
    end: int
    step: int

    @property
    def slice(self) -> slice:
        """As an index."""
        return slice(self.begin, self.end, self.step)


@lru_cache(maxsize=4096)
def around(members: Collection[int], is_dense: bool) -> Some:
    """The fewest replicas at equal distances among which these are; dense: at a distance of one.

    What is around some of them is among what is around them all: so a loop that drops replicas never takes one back.
    """
    first, last = min(members), max(members)
    step = 1 if is_dense else math.gcd(*(member - first for member in members)) or 1
    return Some(first, last + 1, step)


@dataclass(frozen=True)
class Reach:
    """How many positions each row of each replica has, within a common width.

    lengths: (replicas, rows) on the CPU.
    """

    lengths: Tensor
    time: int

    @classmethod
    def even(cls, times: Sequence[int], rows: int, time: int) -> Reach:
        """All rows of a replica as long as each other."""
        return cls(torch.tensor(times).unsqueeze(1).expand(-1, rows), time)

    @cached_property
    def longest(self) -> list[int]:
        """Of each replica."""
        longest: list[int] = self.lengths.amax(1).tolist()
        return longest

    @cached_property
    def going(self) -> list[Some]:
        """The replicas to compute at each position."""
        found: list[Some] = []
        for end in sorted(set(self.longest)):
            members = tuple(index for index, length in enumerate(self.longest) if length >= end)
            found += [self.around(members)] * (end - len(found))
        return found

    def around(self, members: tuple[int, ...]) -> Some:
        """See the function: rows of one replica are neighbours in memory, which only dense ones continue."""
        return around(members, self.lengths.shape[1] > 1)

    @property
    def is_even(self) -> bool:
        """Whether all replicas have all positions."""
        return min(self.longest) == self.time

    @cached_property
    def last(self) -> Tensor:
        """Where each row's last position lies among all (time · rows): (rows,), those of the first replica first."""
        lengths = self.lengths.flatten()
        return (lengths - 1) * len(lengths) + torch.arange(len(lengths))

    @cached_property
    def ends(self) -> frozenset[int]:
        """The positions that are the last of some row."""
        return frozenset((self.lengths.flatten() - 1).tolist())
