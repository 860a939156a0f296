from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seq2seq_lightning.reports.statistics import Summary, binomial_error, standard_error, summarise, tolerance


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
