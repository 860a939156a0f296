"""One seed, many independent named streams, each a pure function of where it is used.

Nothing here keeps a position that could be lost: a draw is a function of (seed, stream, counters), so a resumed
run, another micro-batch, another rank or a wider padding sees the same numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

_MULTIPLIERS = (-4658895280553007687, -7723592293110705685)  # splitmix64's constants as signed integers
_CHUNK = 64  # choices of a row that are added up at once
_GOLDEN = -7046029254386353131  # 2^64 / golden ratio, odd, as a signed integer


def stream_seed(seed: int, stream: str, *counters: int) -> int:
    """A 63-bit seed for the named stream, e.g. ``stream_seed(1, "order", epoch)``; independent of Python's hashing."""
    text = "/".join([str(int(seed)), stream, *(str(int(counter)) for counter in counters)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, stream: str, *counters: int) -> torch.Generator:
    """A CPU generator positioned at the start of the named stream."""
    return torch.Generator().manual_seed(stream_seed(seed, stream, *counters))


@contextmanager
def seeded(seed: int, stream: str, *counters: int) -> Iterator[None]:
    """Run a block with torch's global generators at the start of a stream, and put them back afterwards."""
    with torch.random.fork_rng():
        torch.manual_seed(stream_seed(seed, stream, *counters))
        yield


def reseed(device: torch.device, seed: int, stream: str, *counters: int) -> None:
    """Put torch's global generators, of the CPU and of this device, at the start of a stream.

    As ``torch.manual_seed``, which however formats a stack trace for every kind of device that the machine lacks.
    """
    value = stream_seed(seed, stream, *counters)
    if device.type in ("cpu", "cuda"):
        torch.default_generator.manual_seed(value)
    if device.type == "cuda":
        torch.cuda.manual_seed(value)
    elif device.type != "cpu":
        torch.manual_seed(value)


def uniforms(seed: int, stream: str, update: int, places: Tensor, columns: int) -> Tensor:
    """Uniform numbers in [0, 1), one per (place, column): float64, (rows, columns), on the device of ``places``.

    places: (rows,), int64, each example's place in the global batch. Element (r, c) depends on
    (seed, stream, update, places[r], c) alone: neither on the other rows nor on ``columns``.
    A counter-based generator: splitmix64's finaliser (Steele et al. 2014) over mixed counters.
    """
    return uniforms_of([seed], stream, update, places, columns)


def uniforms_of(seeds: Sequence[int], stream: str, update: int, places: Tensor, columns: int) -> Tensor:
    """``uniforms`` of several seeds, each for as many rows: those of the first seed first. places: (rows,)."""
    keys = torch.tensor([stream_seed(seed, stream, update) for seed in seeds], device=places.device)
    key = keys.repeat_interleave(len(places) // len(seeds)) if len(seeds) > 1 else keys
    columns_index = torch.arange(columns, dtype=torch.int64, device=places.device)
    rows = _mix(places.to(torch.int64) * _GOLDEN + key)
    bits = _mix(rows.unsqueeze(1) + (columns_index + 1) * _GOLDEN)
    return _shift(bits, 11).to(torch.float64) * 2.0**-53


def drawn(scores: Tensor, uniform: Tensor) -> Tensor:
    """One index per row, drawn from softmax(scores) by one uniform number each: (rows,) int64.

    scores: (rows, choices), in float32 or better, -inf where a choice is impossible; uniform: (rows,) float64, in
    [0, 1). The index is the first whose cumulative probability exceeds the number, so it depends on the row's own
    scores and number alone, and is possible wherever something is. Rows that hold no number, or nothing possible, give
    some index within range.
    """
    weights = (scores - scores.amax(dim=-1, keepdim=True)).exp()
    cumulative = _chunk_sums(weights).cumsum(dim=-1)
    chunk, within = _first_above(cumulative, uniform * cumulative[:, -1])
    places = chunk.unsqueeze(1) * _CHUNK + torch.arange(_CHUNK, device=scores.device)
    is_there = places < scores.size(-1)
    inside = weights.gather(1, places.clamp(max=scores.size(-1) - 1)) * is_there
    index, _ = _first_above(inside.double().cumsum(dim=-1), within)
    return (chunk * _CHUNK + index).clamp(max=scores.size(-1) - 1)


def _chunk_sums(weights: Tensor) -> Tensor:
    """The sums of each _CHUNK columns, in float64: only one chunk per row has to be added up one by one."""
    whole = weights.size(-1) // _CHUNK * _CHUNK
    sums = [weights[:, :whole].unflatten(1, (-1, _CHUNK)).sum(dim=2, dtype=torch.float64)] if whole else []
    if whole < weights.size(-1):
        sums.append(weights[:, whole:].sum(dim=1, keepdim=True, dtype=torch.float64))
    return torch.cat(sums, dim=1)


def _first_above(cumulative: Tensor, sought: Tensor) -> tuple[Tensor, Tensor]:
    """The first column whose cumulative sum exceeds the number, and how far the number lies inside it: (rows,) each."""
    total = cumulative[:, -1]
    sought = torch.minimum(sought, torch.nextafter(total, torch.zeros_like(total)))  # rounding ends with the last one
    index = torch.searchsorted(cumulative, sought.unsqueeze(1), right=True)
    index = index.clamp(max=cumulative.size(-1) - 1)
    before = torch.nn.functional.pad(cumulative, (1, 0)).gather(1, index).squeeze(1)
    return index.squeeze(1), sought - before


def _mix(value: Tensor) -> Tensor:
    value = (value ^ _shift(value, 30)) * _MULTIPLIERS[0]
    value = (value ^ _shift(value, 27)) * _MULTIPLIERS[1]
    return value ^ _shift(value, 31)


def _shift(value: Tensor, bits: int) -> Tensor:
    """Shift right without the sign: int64 tensors shift arithmetically."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)
