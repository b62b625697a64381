from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from cnn_jax.sweep.statistics import mean_interval, paired_difference, t_quantile

# Two-sided 95% points of Student's t as printed in every statistics book (Fisher & Yates 1938, table III).
TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 5: 2.571, 9: 2.262, 30: 2.042, 120: 1.980}


@pytest.mark.parametrize(("df", "expected"), TABLE.items())
def test_quantile_is_the_printed_one(df: int, expected: float):
    assert t_quantile(0.975, df) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize("n", [2, 3, 5, 20])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_interval_is_scipys(n: int, confidence: float):
    values = np.random.default_rng(n).normal(0.2, 0.03, n)
    mean, lo, hi = mean_interval(values.tolist(), confidence)
    expected = scipy.stats.t.interval(confidence, n - 1, loc=values.mean(), scale=scipy.stats.sem(values))
    assert mean == pytest.approx(values.mean())
    assert (lo, hi) == pytest.approx(expected)


def test_one_seed_has_no_interval():
    interval = mean_interval([0.25])
    assert interval == (0.25, None, None)
    assert interval.half is None


def test_half_is_what_stands_behind_the_sign():
    interval = mean_interval([0.1, 0.2, 0.3])
    assert interval.half == pytest.approx(4.302653 * 0.1 / math.sqrt(3), rel=1e-6)


@pytest.mark.parametrize("shift", [0.0, 0.005, 0.02, 0.1])
def test_separated_exactly_when_the_paired_t_test_says_so(shift: float):
    for seed in range(20):
        generator = np.random.default_rng(seed)
        common = generator.normal(0.3, 0.05, 4)
        a, b = common + generator.normal(0, 0.01, 4), common + shift + generator.normal(0, 0.01, 4)
        difference = paired_difference(a.tolist(), b.tolist())
        test: Any = scipy.stats.ttest_rel(a, b)
        ends = test.confidence_interval(0.95)
        assert difference.mean == pytest.approx((a - b).mean())
        assert (difference.lo, difference.hi) == pytest.approx((ends.low, ends.high))
        assert difference.separated == (test.pvalue < 0.05)


def test_pairing_takes_out_what_the_seeds_share():
    a, b = [0.10, 0.20, 0.30], [0.11, 0.22, 0.31]
    assert paired_difference(a, b, 0.9).separated
    unpaired: Any = scipy.stats.ttest_ind(a, b)
    assert unpaired.pvalue > 0.5


def test_one_pair_never_separates():
    assert paired_difference([0.1], [0.9]) == (pytest.approx(-0.8), None, None, False, 1)


def test_equal_values_are_not_separated():
    assert not paired_difference([0.1, 0.2, 0.3], [0.1, 0.2, 0.3]).separated


@pytest.mark.parametrize("values", [[], [0.1, math.nan], [math.inf]])
def test_no_mean_of_nothing(values: list[float]):
    with pytest.raises(ValueError, match="at least one value"):
        mean_interval(values)


def test_unequal_lengths_cannot_be_paired():
    with pytest.raises(ValueError, match="cannot be paired"):
        paired_difference([0.1], [0.1, 0.2])


def test_intervals_cover_the_truth_as_often_as_they_say():
    generator = np.random.default_rng(7)
    values = generator.normal(0.0, 1.0, (4000, 3))
    covered = sum(
        lo <= 0 <= hi for _, lo, hi in map(mean_interval, values.tolist()) if lo is not None and hi is not None
    )
    assert covered / 4000 == pytest.approx(0.95, abs=0.012)  # 3.5 standard errors
