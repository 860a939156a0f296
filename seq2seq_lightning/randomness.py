"""One seed, many independent named streams, each a pure function of where it is used.

Nothing here keeps a position that could be lost: a draw is a function of (seed, stream, counters), so a resumed
run, another micro-batch, another rank or a wider padding sees the same numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

_MULTIPLIERS = (-4658895280553007687, -7723592293110705685)  # splitmix64's constants as signed integers
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
    key = stream_seed(seed, stream, update)
    columns_index = torch.arange(columns, dtype=torch.int64, device=places.device)
    rows = _mix(places.to(torch.int64) * _GOLDEN + key)
    bits = _mix(rows.unsqueeze(1) + (columns_index + 1) * _GOLDEN)
    return _shift(bits, 11).to(torch.float64) * 2.0**-53


def _mix(value: Tensor) -> Tensor:
    value = (value ^ _shift(value, 30)) * _MULTIPLIERS[0]
    value = (value ^ _shift(value, 27)) * _MULTIPLIERS[1]
    return value ^ _shift(value, 31)


def _shift(value: Tensor, bits: int) -> Tensor:
    """Shift right without the sign: int64 tensors shift arithmetically."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)
