"""Which pixels a unit sees along one axis of the image: exact integer intervals, for every index at once.

A unit with index i along an axis sees the pixels lo(i) to hi(i). Convolution, pooling, cropping and upsampling all keep
these bounds periodic: after p units they have moved by q pixels, lo(i + p) = lo(i) + q. So one period of bounds and the
advance q hold all of them; the jump is q / p, below one after a transposed convolution (Araujo et al. 2019, "Computing
Receptive Fields of Convolutional Neural Networks", gives the special case p = 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

Bounds = tuple[int, int] | None
"""First and last pixel seen, or None for a unit that sees nothing (a hole of a transposed convolution)."""


@dataclass(frozen=True)
class Span:
    """Bounds of the first p units and the pixels by which each next p units move on.

    Attributes:
        bounds: one entry per unit of a period.
        advance: pixels per period; 0 where every unit sees the same.
    """

    bounds: tuple[Bounds, ...]
    advance: int

    @property
    def period(self) -> int:
        """Units in a period."""
        return len(self.bounds)

    @property
    def jump(self) -> Fraction:
        """Pixels between the fields of neighbouring units, on average."""
        return Fraction(self.advance, self.period)

    def at(self, index: int) -> Bounds:
        """Pixels seen by one unit; beyond the image where padding is seen."""
        period, phase = divmod(index, self.period)
        bounds = self.bounds[phase]
        return bounds and (bounds[0] + self.advance * period, bounds[1] + self.advance * period)

    def sizes(self) -> list[int]:
        """Number of pixels seen by each unit of a period that sees any."""
        return [hi - lo + 1 for lo, hi in filter(None, self.bounds)]

    def window(
        self, stride: int = 1, padding: int = 0, size: int = 1, dilation: int = 1, input_dilation: int = 1
    ) -> Span:
        """Bounds after a sliding window.

        Unit i of the output covers stride * i - padding + dilation * t for t below `size`, in an input whose units
        stand `input_dilation` apart (with zeros between them, which see nothing).
        """
        period = input_dilation * self.period // math.gcd(input_dilation * self.period, abs(stride))
        advance = self.advance * stride * period // (input_dilation * self.period)

        def seen(index: int) -> Bounds:
            first = stride * index - padding
            if input_dilation == 1:
                return hull(self.at(first + dilation * t) for t in range(size))
            places = (first + dilation * t for t in range(size))
            return hull(self.at(place // input_dilation) for place in places if place % input_dilation == 0)

        return Span(tuple(map(seen, range(period))), advance)

    def repeat(self, times: int) -> Span:
        """Bounds after each unit was written `times` times (nearest upsampling, pixel shuffle)."""
        return Span(tuple(bounds for bounds in self.bounds for _ in range(times)), self.advance)

    def collapse(self, count: int) -> Span:
        """What units 0 to `count` - 1 see together, the same for every later unit."""
        ends = (*range(min(count, self.period)), *range(max(count - self.period, 0), count))
        return Span((hull(map(self.at, ends)),), 0)

    def mixed(self, support: Sequence[Bounds], count: int) -> Span:
        """Bounds after a fixed linear map, such as a resize.

        Args:
            support: for each output unit, the first and last of the input units it is made of.
            count: number of input units.

        The interior's rule is continued beyond the borders. A map without such a rule sees everything.
        """
        scale = Fraction(count, len(support))
        period, step = scale.denominator, scale.numerator
        if len(support) < period or not _regular(support, count, scale):
            return self.collapse(count)
        middle = len(support) // 2 // period * period
        middle = min(middle, len(support) - period)
        period *= self.period // math.gcd(self.period, step)

        def seen(index: int) -> Bounds:
            turn, phase = divmod(index, scale.denominator)
            inputs = support[middle + phase]
            move = step * (turn - middle // scale.denominator)
            return inputs and hull(map(self.at, range(inputs[0] + move, inputs[1] + move + 1)))

        return Span(tuple(map(seen, range(period))), self.advance * step * period // scale.denominator // self.period)


def identity() -> Span:
    """The image itself: unit i sees pixel i."""
    return Span(((0, 0),), 1)


def hull(bounds) -> Bounds:
    """The smallest interval around all of them."""
    seen = [b for b in bounds if b is not None]
    return (min(lo for lo, _ in seen), max(hi for _, hi in seen)) if seen else None


def union(spans: Sequence[Span]) -> tuple[Span, ...]:
    """What units see that read several sources: spans of the same jump are merged, one per jump is left."""
    by_jump: dict[Fraction, Span] = {}
    for span in spans:
        other = by_jump.get(span.jump)
        by_jump[span.jump] = span if other is None or other == span else _merge(span, other)
    return tuple(by_jump[jump] for jump in sorted(by_jump, reverse=True))


def _merge(a: Span, b: Span) -> Span:
    period = math.lcm(a.period, b.period)
    return Span(tuple(hull((a.at(i), b.at(i))) for i in range(period)), a.advance * period // a.period)


def _regular(support: Sequence[Bounds], count: int, scale: Fraction) -> bool:
    """Whether the support moves on by the scale, but for what the borders cut off."""
    period, step = scale.denominator, scale.numerator

    def agree(at: Callable[[tuple[int, int]], int], early: Bounds, late: Bounds) -> bool:
        if early is None or late is None:
            return early is late
        return at(late) - at(early) == step or at(early) in (0, count - 1) or at(late) in (0, count - 1)

    pairs = list(zip(support, support[period:], strict=False))
    return all(agree(lambda b: b[0], *pair) and agree(lambda b: b[1], *pair) for pair in pairs)
