from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import scipy
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_lightning.reports.statistics import (
    Summary,
    binomial_error,
    holm,
    matched_interval,
    matched_p,
    more_seeds,
    standard_error,
    summarise,
    tolerance,
)


def test_mean_and_sd_by_hand() -> None:
    # deviations -2, 0, 2: sum of squares 8, over n - 1 = 2 is 4, root 2
    assert summarise([1.0, 3.0, 5.0]) == Summary(3.0, 2.0, 3)
    assert summarise([7.5]) == Summary(7.5, None, 1)
    assert summarise([]) is None


@settings(deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20))
def test_it_agrees_with_the_standard_library(values: list[float]) -> None:
    summary = summarise(values)
    assert summary is not None and summary.sd is not None
    assert summary.mean == pytest.approx(statistics.fmean(values), abs=1e-9)
    assert summary.sd == pytest.approx(statistics.stdev(values), abs=1e-6)


def test_binomial_error_by_hand() -> None:
    # the guide of the G2P task: one in 450 words; sqrt(0.2 * 0.8 / 450) = 0.01886
    assert binomial_error(20.0, 450) == pytest.approx(1.8856, abs=1e-4)
    assert binomial_error(100.0, 450) == 0.0


def test_standard_error_by_hand() -> None:
    own = Summary(50.0, 4.0, 16)
    # 16/16 + 9/9 = 2
    assert standard_error(own, 3.0, 9) == pytest.approx(math.sqrt(2))
    # published spread unknown: 16/16 + 16/4 = 5
    assert standard_error(own, None, 4) == pytest.approx(math.sqrt(5))
    # nothing known: 16/16 twice
    assert standard_error(own, None, None) == pytest.approx(math.sqrt(2))
    # one own run of a share of 100 sentences: sd unknown, binomial 5 points; published 0.6²/1 in quadrature
    one = Summary(50.0, None, 1)
    assert standard_error(one, 1.2, 4, 100) == pytest.approx(math.sqrt(25 + 0.36))
    assert standard_error(one, None, None) == 0.0
    assert standard_error(own, 3.0, 9, 100) == pytest.approx(math.sqrt(2)), "several runs carry the error already"


def test_tolerance_is_the_wider_of_two_errors_and_the_margin() -> None:
    assert tolerance(1.0, 1.5) == 2.0
    assert tolerance(0.5, 1.5) == 1.5


# five differences: mean 2, squared deviations 1 + 0 + 1 + 4 + 4 = 10, s = √2.5, standard error √0.5
FIVE = [1.0, 2.0, 3.0, 0.0, 4.0]


def test_the_interval_of_matched_differences_by_hand() -> None:
    found = matched_interval(FIVE)
    assert found is not None
    margin = 2.776445 * math.sqrt(0.5)  # t of 97.5 % with 4 degrees of freedom, from a printed table
    assert (found.low, found.high) == pytest.approx((2 - margin, 2 + margin), abs=1e-5)
    assert matched_interval([1.0]) is None


def test_matched_tests_against_printed_values() -> None:
    # t = 2 ÷ √0.5 = 2.8284 with 4 degrees of freedom: p = 0.0474; four ranks 1+2+3+4 on one side: 2 ÷ 2^4
    assert matched_p(FIVE) == pytest.approx(0.0474, abs=5e-5)
    assert matched_p([1.0, 2.0, 3.0, 4.0], ranks=True) == pytest.approx(2 / 16)
    assert matched_p([0.0, 0.0]) == matched_p([0.0, 0.0], ranks=True) == 1.0
    assert matched_p([3.0, 3.0]) == 0.0
    assert matched_p([3.0]) is matched_p([3.0, math.nan]) is None


def test_matched_tests_do_not_care_who_is_first() -> None:
    assert matched_p(FIVE) == pytest.approx(matched_p([-each for each in FIVE]))


def test_holm_by_hand() -> None:
    # sorted 0.01, 0.02, 0.03, 0.5 times 4, 3, 2, 1 = 0.04, 0.06, 0.06, 0.5
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


@pytest.mark.parametrize("differences", [[1.0, -1.0, 2.5, 0.5], [3.0, -2.0, 1.5], [0.5, -0.4, 0.3, 0.2, -0.1]])
def test_so_many_more_seeds_have_the_power_and_one_less_has_not(differences: list[float]) -> None:
    more = more_seeds(differences)
    assert more is not None and more > 0
    own = summarise(differences)
    assert own is not None and own.sd is not None
    random = np.random.default_rng(1)

    def power(n: int) -> float:
        drawn = random.normal(own.mean, own.sd, size=(20_000, n))
        t = drawn.mean(1) / (drawn.std(1, ddof=1) / math.sqrt(n))
        return float((np.abs(t) > scipy.stats.t.ppf(0.975, n - 1)).mean())

    assert power(own.n + more) > 0.79
    assert power(own.n + more - 1) < 0.81


def test_where_no_seed_is_needed_and_where_none_would_do() -> None:
    assert more_seeds([3.0, 3.1, 2.9, 3.0]) == 0
    assert more_seeds([1.0, -1.0]) is None
    assert more_seeds([1.0, -1.0, 1e-5]) is None
