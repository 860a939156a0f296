from __future__ import annotations

import math

import pytest
import torch

from seq2seq_lightning.decoding.scoring import LengthPenalty, best_possible, coverage_term, length_divisors

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("penalty", "alpha", "expected"),
    [
        (LengthPenalty.none, 0.0, [1.0, 1.0, 1.0]),
        (LengthPenalty.average, 1.0, [1.0, 2.0, 3.0]),
        (LengthPenalty.average, 0.5, [1.0, math.sqrt(2), math.sqrt(3)]),
        (LengthPenalty.gnmt, 1.0, [1.0, 7 / 6, 8 / 6]),  # (5 + n) / 6
        (LengthPenalty.gnmt, 2.0, [1.0, 49 / 36, 64 / 36]),
    ],
)
def test_divisors_of_one_two_three_labels(penalty: LengthPenalty, alpha: float, expected: list[float]) -> None:
    assert length_divisors(penalty, alpha, 3, CPU)[1:].tolist() == pytest.approx(expected)


def test_coverage_counts_real_positions_and_caps_at_one() -> None:
    """Covered 0.5, 1.5 and, on padding, 0: β (ln 0.5 + ln 1) = 0.2 × -0.693."""
    coverage = torch.tensor([[0.5, 1.5, 0.0]], dtype=torch.float64)
    is_real = torch.tensor([[True, True, False]])
    assert float(coverage_term(coverage, is_real, 0.2)) == pytest.approx(0.2 * math.log(0.5))


def test_a_position_that_was_never_attended_stays_finite() -> None:
    term = coverage_term(torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool), 1.0)
    assert torch.isfinite(term).all() and float(term) < -100


def test_the_bound_divides_by_the_longest() -> None:
    totals, divisors, most = torch.tensor([-6.0, -6.0]), torch.tensor([2.0, 3.0]), torch.tensor([4, 8])
    assert best_possible(totals, divisors, most).tolist() == [-3.0, -2.0]
    assert best_possible(totals, divisors, most, reward=0.5).tolist() == [-1.0, 2.0]
