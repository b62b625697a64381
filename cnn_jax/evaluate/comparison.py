"""Whether one network is better than another on the same examples."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

CONFIDENCE = 0.95


class Comparison(NamedTuple):
    """Two networks on the same examples, `a` against `b`.

    Attributes:
        n: examples.
        both: examples that both get right.
        only_a: examples that `a` alone gets right.
        only_b: examples that `b` alone gets right.
        neither: examples that neither gets right.
        difference: accuracy of `a` minus that of `b`.
        lo: lower end of its 95% interval.
        hi: upper end.
        p_value: of McNemar's exact test, two-sided: how likely a split of the disagreements at least as uneven is
            where both are as good.
    """

    n: int
    both: int
    only_a: int
    only_b: int
    neither: int
    difference: float
    lo: float
    hi: float
    p_value: float

    @property
    def separated(self) -> bool:
        """Whether the interval excludes zero."""
        return not self.lo <= 0 <= self.hi


def paired(right_a: np.ndarray, right_b: np.ndarray) -> Comparison:
    """Compares right and wrong answers, example by example.

    The test is McNemar's (1947) in its exact form: under the null hypothesis, of the examples that one alone gets right
    each is as likely to be a's as b's. The interval is Bonett and Price's (2012, "Adjusted Wald Confidence Interval
    for a Difference of Binomial Proportions Based on Paired Data"): Wald's after one example is added to each kind of
    disagreement, which keeps its coverage where there are few.

    Args:
        right_a: bool `[N]`.
        right_b: bool `[N]`, of the same examples.
    """
    from scipy.stats import binomtest, norm  # a second, of no use to those who only predict

    a, b, n = np.asarray(right_a, bool), np.asarray(right_b, bool), len(right_a)
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    disagree = only_a + only_b
    p_value = float(binomtest(only_a, disagree, 0.5).pvalue) if disagree else 1.0
    share_a, share_b = (only_a + 1) / (n + 2), (only_b + 1) / (n + 2)
    centre = share_a - share_b
    half = float(norm.ppf((1 + CONFIDENCE) / 2)) * math.sqrt((share_a + share_b - centre**2) / (n + 2))
    return Comparison(
        n,
        int((a & b).sum()),
        only_a,
        only_b,
        int((~a & ~b).sum()),
        (only_a - only_b) / n,
        max(-1.0, centre - half),
        min(1.0, centre + half),
        p_value,
    )
