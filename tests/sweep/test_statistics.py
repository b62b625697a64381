from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from cnn_jax.sweep.statistics import (
    Interval,
    bootstrap_interval,
    effect_size,
    mean_interval,
    paired_difference,
    pairs_needed,
    t_quantile,
)

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
    assert paired_difference([0.1], [0.9]) == (pytest.approx(-0.8), None, None, False, 1, None)


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


def ends(interval: Interval) -> tuple[float, float, float]:
    assert interval.lo is not None
    assert interval.hi is not None
    return interval.mean, interval.lo, interval.hi


def bca(values: np.ndarray, confidence: float) -> tuple[float, float]:
    """The interval as Efron writes it (1987, section 4), by hand, from draws of its own."""
    draws = np.random.default_rng(7).choice(values, (40_000, len(values))).mean(axis=1)
    normal = scipy.stats.norm
    bias = normal.ppf((np.sum(draws < values.mean()) + np.sum(draws == values.mean()) / 2) / len(draws))
    left_out = (values.sum() - values) / (len(values) - 1)
    gaps = left_out.mean() - left_out
    acceleration = (gaps**3).sum() / (6 * (gaps**2).sum() ** 1.5)
    z = bias + normal.ppf([(1 - confidence) / 2, (1 + confidence) / 2])
    lo, hi = np.quantile(draws, normal.cdf(bias + z / (1 - acceleration * z)))
    return float(lo), float(hi)


@pytest.mark.parametrize("n", [12, 30])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_bootstrap_is_efrons(n: int, confidence: float):
    values = np.random.default_rng(n).exponential(0.1, n)
    mean, lo, hi = ends(bootstrap_interval(values.tolist(), confidence))
    assert mean == pytest.approx(values.mean())
    assert (lo, hi) == pytest.approx(bca(values, confidence), rel=0.03)
    assert hi - mean > mean - lo, "skewed as the values are"


def test_the_bootstrap_is_the_same_in_any_order_and_stays_among_the_values():
    values = [0.31, 0.22, 0.25, 0.4, 0.29]
    mean, lo, hi = ends(bootstrap_interval(values))
    assert (mean, lo, hi) == bootstrap_interval(sorted(values))
    assert min(values) <= lo < mean < hi <= max(values)


def test_the_bootstrap_of_one_value_or_equal_ones_is_the_value():
    assert bootstrap_interval([0.25]) == (0.25, None, None)
    assert bootstrap_interval([0.25, 0.25, 0.25]) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize("n", [3, 5, 12])
def test_effect_size_is_unbiased(n: int):
    true = 0.7
    samples = np.random.default_rng(n).normal(true, 1, (20_000, n))
    found = np.array([effect_size(sample.tolist()) for sample in samples], float)
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) == pytest.approx(true, abs=4 * error)
    assert np.mean(samples.mean(axis=1) / samples.std(axis=1, ddof=1)) > true + 4 * error, (
        "without the factor it is not"
    )


def test_no_effect_size_of_two_pairs_or_of_differences_that_are_equal():
    assert effect_size([0.1, 0.2]) is None
    assert effect_size([0.1, 0.1, 0.1]) is None
    assert paired_difference([0.3, 0.5, 0.4], [0.1, 0.2, 0.3]).effect == pytest.approx(effect_size([0.2, 0.3, 0.1]))


# Cohen's small, medium and large effect; the numbers of pairs that G*Power gives (t test, matched pairs, two-sided).
@pytest.mark.parametrize(("effect", "pairs"), [(0.2, 199), (0.5, 34), (0.8, 15), (-0.8, 15)])
def test_pairs_needed_are_the_known_ones(effect: float, pairs: int):
    assert pairs_needed(effect) == pairs


@pytest.mark.parametrize("effect", [0.15, 0.53, 1.47, 4.0, 30.0])
@pytest.mark.parametrize("confidence", [0.95, 1 - 0.05 / 8])
def test_pairs_needed_are_the_first_that_suffice(effect: float, confidence: float):
    def power(n: int) -> float:
        return float(scipy.stats.nct.sf(scipy.stats.t.ppf((1 + confidence) / 2, n - 1), n - 1, effect * math.sqrt(n)))

    found = pairs_needed(effect, confidence)
    assert found == next(n for n in range(2, 10_000) if power(n) >= 0.8)


def test_as_many_pairs_separate_as_often_as_is_said():
    effect, n = 1.2, pairs_needed(1.2)
    assert n is not None
    samples = np.random.default_rng(3).normal(effect, 1, (4000, n))
    shares = [np.mean([paired_difference(s, np.zeros_like(s)).separated for s in samples[:, :m]]) for m in (n - 1, n)]
    assert shares[0] < 0.8 + 0.02
    assert shares[1] > 0.8 - 0.02


def test_what_ten_thousand_pairs_do_not_show_has_no_number():
    assert pairs_needed(1e-6) is None
    assert pairs_needed(0.0) is None
