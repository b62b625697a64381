"""Interleaved blocks, and what is said of them: per block a ratio, of the ratios the median and the range."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

MINIMUM = 7
"""Fewer blocks say nothing of the spread."""
_SETTLE = 0.25  # seconds; threads of the side before spin for a moment after their last work


class Spread(NamedTuple):
    """The median of values, the lowest and the highest."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """Median and range, or None of nothing."""
    return Spread(statistics.median(values), min(values), max(values)) if values else None


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> list[float]:
    """How many times faster ours is, block by block: seconds of the peer over seconds of ours.

    Blocks that only one side has yet are left out.
    """
    return [b / a for a, b in zip(ours, theirs, strict=False)]


def geometric_mean(values: Sequence[float]) -> float:
    """The n-th root of the product; of ratios it is the only mean that does not depend on which side is above."""
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def interleave(
    sides: Mapping[str, Callable[[], float]],
    blocks: int,
    after_block: Callable[[Mapping[str, list[float]]], None],
    *,
    settle: float = _SETTLE,
) -> dict[str, list[float]]:
    """Measures A B A B ...: one block of every side, `blocks` times.

    Args:
        sides: name to a function that does a block of work and returns its seconds.
        blocks: how many times.
        after_block: is given what has been measured after every round, so that a run that is cut short keeps it.
        settle: seconds of rest before each block.

    Returns:
        The seconds of every side, a number a block.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(blocks):
        for name, block in sides.items():
            time.sleep(settle)
            seconds[name].append(block())
        after_block(seconds)
    return seconds
