"""Which pixels each unit of a map really sees, borders included.

A `Span` holds the rule of the interior, continued beyond the borders. A `Reach` holds every unit of the map: what would
come from padding, which no pixel reaches, is left out at each layer on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cnn_jax.analysis.span import Bounds

_NOTHING = np.iinfo(np.int64).max // 2


@dataclass(frozen=True, eq=False)
class Reach:
    """First and last pixel seen by each unit along an axis; first after last for units that see none.

    Attributes:
        lo: [units].
        hi: [units].
    """

    lo: np.ndarray
    hi: np.ndarray

    def at(self, unit: int) -> Bounds:
        """Pixels seen by one unit."""
        lo, hi = int(self.lo[unit]), int(self.hi[unit])
        return (lo, hi) if lo <= hi else None

    def window(self, count: int, stride=1, padding=0, size=1, dilation=1, input_dilation=1) -> Reach:
        """After a sliding window with `count` places; see `Span.window`."""
        places = stride * np.arange(count)[:, None] - padding + dilation * np.arange(size)
        units, between = places // input_dilation, places % input_dilation
        outside = (between != 0) | (units < 0) | (units >= self.lo.size)
        units = np.clip(units, 0, self.lo.size - 1)
        lo = np.where(outside, _NOTHING, self.lo[units]).min(1)
        return Reach(lo, np.where(outside, -_NOTHING, self.hi[units]).max(1))

    def repeat(self, times: int) -> Reach:
        """After each unit was written `times` times."""
        return Reach(self.lo.repeat(times), self.hi.repeat(times))

    def collapse(self) -> Reach:
        """What all units see together."""
        return Reach(self.lo.min(keepdims=True), self.hi.max(keepdims=True))

    def mixed(self, support: Sequence[Bounds]) -> Reach:
        """After a fixed linear map; see `Span.mixed`."""
        bounds = [
            (_NOTHING, -_NOTHING) if s is None else (self.lo[s[0] : s[1] + 1].min(), self.hi[s[0] : s[1] + 1].max())
            for s in support
        ]
        lo, hi = np.array(bounds, np.int64).T
        return Reach(lo, hi)


def every_pixel(count: int) -> Reach:
    """The image itself."""
    return Reach(np.arange(count), np.arange(count))


def blind(count: int) -> Reach:
    """Units that see nothing, such as padding."""
    return Reach(np.full(count, _NOTHING), np.full(count, -_NOTHING))


def together(reaches: Sequence[Reach]) -> Reach:
    """What units see that read several sources."""
    first, *rest = reaches
    for other in rest:
        if other is not first:
            first = Reach(np.minimum(first.lo, other.lo), np.maximum(first.hi, other.hi))
    return first


def in_a_row(reaches: Sequence[Reach]) -> Reach:
    """Maps set side by side along the axis."""
    return Reach(np.concatenate([r.lo for r in reaches]), np.concatenate([r.hi for r in reaches]))
