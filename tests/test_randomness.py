"""Draws are functions of where they are used: of nothing that a resume, a rank or a wider padding could change."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
import torch

from seq2seq_lightning.randomness import generator, seeded, stream_seed, uniforms

ROWS = torch.arange(400)


def draws(seed: int = 1, stream: str = "feeding", update: int = 0, columns: int = 50) -> torch.Tensor:
    return uniforms(seed, stream, update, ROWS, columns)


def test_a_number_depends_on_its_own_place_alone() -> None:
    full = draws()
    assert torch.equal(draws(columns=9), full[:, :9])  # not on the padded width
    order = torch.randperm(len(ROWS), generator=torch.Generator().manual_seed(0))
    assert torch.equal(uniforms(1, "feeding", 0, ROWS[order], 50), full[order])  # not on the order
    assert torch.equal(uniforms(1, "feeding", 0, ROWS[7::3], 50), full[7::3])  # not on the other rows
    assert torch.equal(uniforms(1, "feeding", 0, torch.tensor([5, 5]), 50), full[[5, 5]])


def test_draws_repeat_whatever_was_drawn_between() -> None:
    before = draws()
    torch.rand(17)
    draws(seed=3)
    assert torch.equal(draws(), before)


def test_the_numbers_are_splitmix64s() -> None:
    """Against Python's unbounded integers, taken modulo 2^64; a change of these numbers changes every recorded run."""

    def mix(value: int) -> int:
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) % 2**64
        return value ^ (value >> 31)

    key = int.from_bytes(hashlib.sha256(b"1/feeding/7").digest()[:8], "little") >> 1
    for place, column in ((0, 0), (3, 5), (399, 49)):
        row = mix((place * 0x9E3779B97F4A7C15 + key) % 2**64)
        bits = mix((row + (column + 1) * 0x9E3779B97F4A7C15) % 2**64)
        assert float(draws(update=7)[place, column]) == (bits >> 11) * 2.0**-53


def test_nothing_is_taken_from_the_global_generator() -> None:
    state = torch.get_rng_state()
    draws()
    generator(1, "init")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("change", [{"seed": 0}, {"seed": 2}, {"stream": "order"}, {"update": 1}])
def test_another_seed_stream_or_update_gives_unrelated_numbers(change: dict[str, int]) -> None:
    one, other = draws().flatten(), draws(**change).flatten()  # type: ignore[arg-type]
    assert (one == other).sum() == 0
    # 20,000 independent pairs: the correlation has a standard deviation of 0.0071
    assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1]) < 4 * 0.0071


@pytest.mark.parametrize("seed", [0, 1, 2**31, -5])
def test_the_moments_are_those_of_the_uniform_distribution(seed: int) -> None:
    x = uniforms(seed, "moments", 3, torch.arange(1000), 100)
    assert x.dtype == torch.float64 and x.shape == (1000, 100)
    assert 0 <= float(x.min()) < 1e-3 and 1 - 1e-3 < float(x.max()) < 1
    # of n uniform numbers the mean has sd 1/sqrt(12 n), the second moment sqrt(4/45/n)
    n = x.numel()
    assert abs(float(x.mean()) - 1 / 2) < 4 / (12 * n) ** 0.5
    assert abs(float((x**2).mean()) - 1 / 3) < 4 * (4 / 45 / n) ** 0.5
    counts = torch.histc(x.float(), 100, 0, 1)
    chi_square = float(((counts - n / 100) ** 2 / (n / 100)).sum())
    assert 99 - 5 * 198**0.5 < chi_square < 99 + 5 * 198**0.5


def test_neighbours_are_independent() -> None:
    """Along rows, along columns, and from one update to the next."""
    x = torch.stack([uniforms(1, "feeding", update, torch.arange(100), 100) for update in range(3)])
    for dim in range(3):
        one, other = x.narrow(dim, 0, x.shape[dim] - 1).flatten(), x.narrow(dim, 1, x.shape[dim] - 1).flatten()
        assert abs(torch.corrcoef(torch.stack([one, other]))[0, 1]) < 4 / len(one) ** 0.5


def test_rows_and_columns_are_not_exchangeable() -> None:
    x = uniforms(1, "feeding", 0, torch.arange(50), 50)
    assert (x == x.T).sum() == 50  # the diagonal


def test_seeds_differ_by_stream_and_counters_and_fit_torch() -> None:
    seeds = [stream_seed(seed, stream, *counters) for seed in (0, 1) for stream in ("a", "b")
             for counters in ((), (0,), (1,), (0, 1), (1, 0), (11,), (1, 1))]  # fmt: skip
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_a_seed_does_not_depend_on_the_process() -> None:
    """Python hashes strings anew in each process; the streams must not."""
    code = "from seq2seq_lightning.randomness import stream_seed; print(stream_seed(1, 'order', 2))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == stream_seed(1, "order", 2)


def test_a_generator_starts_at_its_stream() -> None:
    one, same, other = generator(1, "init"), generator(1, "init"), generator(1, "sampling")
    first = torch.rand(5, generator=one)
    assert torch.equal(first, torch.rand(5, generator=same))
    assert not torch.equal(first, torch.rand(5, generator=other))


def test_a_seeded_block_repeats_and_leaves_no_trace() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    with seeded(1, "init"):
        inside = torch.rand(4)
    assert torch.equal(torch.rand(4), expected)
    with seeded(1, "init"):
        assert torch.equal(torch.rand(4), inside)
    assert not torch.equal(inside, expected)


def test_a_seeded_block_that_fails_leaves_no_trace() -> None:
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match="inside"), seeded(1, "init"):
        torch.rand(4)
        raise ValueError("inside")
    assert torch.equal(torch.get_rng_state(), state)
