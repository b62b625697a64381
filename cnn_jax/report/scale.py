"""Axes: where a value stands, and which values get a tick."""

from __future__ import annotations

import math
from typing import NamedTuple


class Scale(NamedTuple):
    """A value's place on an axis.

    Attributes:
        lo: the value at `start`.
        hi: the value at `end`.
        start: coordinate of `lo`.
        end: coordinate of `hi`.
        log: whether equal ratios take equal lengths.
    """

    lo: float
    hi: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The coordinate of a value; values outside the axis are drawn at its end."""
        value = min(max(value, self.lo), self.hi)
        if self.log:
            share = math.log(value / self.lo) / math.log(self.hi / self.lo)
        else:
            share = (value - self.lo) / (self.hi - self.lo)
        return self.start + share * (self.end - self.start)

    def over(self, start: float, end: float) -> Scale:
        """The same values between other coordinates."""
        return self._replace(start=start, end=end)

    def ticks(self, count: int = 5) -> list[float]:
        """About `count` round values on the axis."""
        return log_ticks(self.lo, self.hi) if self.log else linear_ticks(self.lo, self.hi, count)


def linear_ticks(lo: float, hi: float, count: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten within [lo, hi], about `count` of them."""
    rough = (hi - lo) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((m * power for m in (1, 2, 5, 10)), key=lambda step: abs(math.log(step / rough)))
    return [round(k * step, 12) for k in range(math.ceil(lo / step - 1e-9), math.floor(hi / step + 1e-9) + 1)]


def log_ticks(lo: float, hi: float) -> list[float]:
    """Powers of ten within [lo, hi]; with 2 and 5, or 3, times them where those are few."""
    decades = range(math.floor(math.log10(lo)), math.ceil(math.log10(hi)) + 1)
    factors = (1, 2, 5) if math.log10(hi / lo) < 2 else (1, 3) if math.log10(hi / lo) < 3 else (1,)
    values = [m * 10.0**d for d in decades for m in factors]
    return [v for v in values if lo * 0.999 <= v <= hi * 1.001]


def log_scale_around(values: list[float], start: float, end: float, margin: float = 1.7) -> Scale:
    """A logarithmic axis that holds the values, which are positive, with a margin (a factor) on both sides."""
    return Scale(min(values) / margin, max(values) * margin, start, end, log=True)
