"""Train once, decode many: the jobs of a sweep that differ in decoding only become one job, and one pass over the data.

The job that leads is launched with the decodings of the others as one more override, which no configuration holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from seq2seq_lightning.experiments.ablation import override
from seq2seq_lightning.experiments.fingerprint import fingerprint as hash_parts
from seq2seq_lightning.job import Job
from seq2seq_lightning.structure import differences

KEY = "+decodings"
SEEDS = "+replicas"  # the seeds of the jobs that are trained at the same time as the leading one


@dataclass(frozen=True)
class Grid:
    """Jobs that one launched job does: the numbers they have in the sweep, the leading one first."""

    numbers: tuple[int, ...]
    job: Job  # the leading one, with the decodings of all
    seeds: tuple[int, ...] = ()  # of those trained at the same time

    def launched(self, jobs: Sequence[list[str]]) -> list[str]:
        """The overrides it is launched with."""
        own = jobs[self.numbers[0]]
        further = [differences(decoding) for decoding in self.job.decodings()[1:]]
        own = [*own, override(KEY, further)] if further else own
        return [*own, override(SEEDS, list(self.seeds))] if self.seeds else own

    def name(self, jobs: Sequence[list[str]]) -> str:
        """What to call it."""
        more = len(self.job.decodings()) - 1
        seeds = f" and seeds {', '.join(str(seed) for seed in self.seeds)}" if self.seeds else ""
        return " ".join(jobs[self.numbers[0]]) + (f" and {more} more decodings" if more else "") + seeds


def grids(numbers: Iterable[int], jobs: Sequence[Job], at_once: int = 1) -> list[Grid]:
    """These jobs, those that differ in decoding only together; at_once: into so many launched jobs, where that many can
    run side by side and nothing is to be trained first."""
    groups: dict[str, list[int]] = {}
    for number in numbers:
        groups.setdefault(_but_for_decoding(jobs[number]), []).append(number)
    return [
        Grid(part, replace(jobs[part[0]], also=[jobs[number].config["decoding"] for number in part[1:]]))
        for group in groups.values()
        for part in _parts(group, 1 if jobs[group[0]].train else at_once)
    ]


def take_further(plain: dict[str, Any], overrides: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Take the further decodings out of a composed configuration, and out of the overrides it was made by."""
    return plain.pop(KEY.lstrip("+"), []), [each for each in overrides if not each.startswith(f"{KEY}=")]


def _but_for_decoding(job: Job) -> str:
    config = {key: value for key, value in job.config.items() if key != "decoding"}
    rest = {"config": config, "folder": job.run_dir, "train": job.train, "sets": job.test_sets}
    return hash_parts(rest | {"members": job.members, "average": job.average, "quality": job.quality})


def _parts(group: list[int], count: int) -> list[tuple[int, ...]]:
    """At most so many parts, as nearly equal as can be, dealt like cards: neighbours of a sweep are alike."""
    return [tuple(group[start::count]) for start in range(min(count, len(group)))]
