"""What a few seeds allow one to say: a mean with its interval, and whether two networks are separated.

Intervals are Student's t (Student, "The probable error of a mean", 1908), two-sided, 95% unless asked otherwise: exact
for normally distributed values however few seeds there are, which is why they are wide at n = 3 (4.30 standard errors).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean over seeds and its interval, in the unit of the values.

    Attributes:
        mean: the mean.
        lo: lower end; None when there is one value only, which has no interval.
        hi: upper end, or None.
    """

    mean: float
    lo: float | None
    hi: float | None

    @property
    def half(self) -> float | None:
        """Half the width, what stands behind ±; None without an interval."""
        return None if self.hi is None else self.hi - self.mean


class Difference(NamedTuple):
    """The mean of paired differences `a - b`, its interval, and whether that excludes zero.

    Attributes:
        mean: the mean difference; negative when `a` is the smaller.
        lo: lower end, or None when there is one pair only.
        hi: upper end, or None.
        separated: whether the interval excludes zero; one pair never separates.
        n: pairs.
    """

    mean: float
    lo: float | None
    hi: float | None
    separated: bool
    n: int


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """Mean and t interval.

    Args:
        values: one value per seed.
        confidence: coverage, between 0 and 1.

    Returns:
        The interval; without ends when there is one value.

    Raises:
        ValueError: no values, or one that is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"a mean needs at least one value, all finite: {values!r}")
    mean = float(array.mean())
    if array.size == 1:
        return Interval(mean, None, None)
    half = t_quantile((1 + confidence) / 2, array.size - 1) * float(array.std(ddof=1)) / math.sqrt(array.size)
    return Interval(mean, mean - half, mean + half)


def paired_difference(a: Sequence[float], b: Sequence[float], confidence: float = CONFIDENCE) -> Difference:
    """Mean and t interval of `a - b`, pair by pair.

    Pairing by seed takes out what the seed does to both (the split of the data, the order of the batches).

    Args:
        a: one value per seed.
        b: one value per seed, of the same seeds in the same order.
        confidence: coverage, between 0 and 1.

    Returns:
        The difference.

    Raises:
        ValueError: the lengths differ, there are no values, or one is not finite.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} values cannot be paired with {len(b)}")
    mean, lo, hi = mean_interval([x - y for x, y in zip(a, b, strict=True)], confidence)
    return Difference(mean, lo, hi, lo is not None and hi is not None and not lo <= 0 <= hi, len(a))


def t_quantile(probability: float, degrees_of_freedom: int) -> float:
    """The quantile of Student's t distribution."""
    from scipy.special import stdtrit  # a quarter of a second, of no use to those who only list commands

    return float(stdtrit(degrees_of_freedom, probability))
