"""Search spaces: settings drawn from distributions, at random or quasi-random, the same for the same seed.

Quasi-random points fill a space more evenly than random ones, which is what a search for learning rates wants (Bousquet
et al. 2017, "Critical Hyper-Parameters: No Random, No Cry"); the first n points of a longer search are those of a
shorter one, so a search can be extended and keeps its finished cells.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from cnn_jax.errors import ConfigError
from cnn_jax.sweep.space import Space

Method = Literal["random", "halton", "sobol"]


class Uniform(NamedTuple):
    """Evenly between two numbers."""

    lo: float
    hi: float

    def at(self, u: float) -> float:
        """The quantile `u` in [0, 1)."""
        return self.lo + u * (self.hi - self.lo)


class LogUniform(NamedTuple):
    """Between two positive numbers, evenly in the logarithm: as often from 0.01 to 0.1 as from 0.1 to 1."""

    lo: float
    hi: float

    def at(self, u: float) -> float:
        """The quantile `u` in [0, 1)."""
        return math.exp(math.log(self.lo) + u * (math.log(self.hi) - math.log(self.lo)))


class Integers(NamedTuple):
    """Whole numbers from `lo` to `hi`, both included, each as likely."""

    lo: int
    hi: int

    def at(self, u: float) -> int:
        """The quantile `u` in [0, 1)."""
        return self.lo + int(u * (self.hi - self.lo + 1))


class Choice(NamedTuple):
    """One of these, each as likely."""

    values: tuple[Any, ...]

    def at(self, u: float) -> Any:
        """The quantile `u` in [0, 1)."""
        return self.values[int(u * len(self.values))]


Distribution = Uniform | LogUniform | Integers | Choice


def uniform(lo: float, hi: float) -> Uniform:
    """Evenly from `lo` to `hi`.

    Raises:
        ConfigError: `lo` is not below `hi`.
    """
    _check_ends(lo, hi, -math.inf)
    return Uniform(lo, hi)


def log_uniform(lo: float, hi: float) -> LogUniform:
    """Evenly in the logarithm from `lo` to `hi`.

    Raises:
        ConfigError: not 0 < `lo` < `hi`.
    """
    _check_ends(lo, hi, 0)
    return LogUniform(lo, hi)


def integers(lo: int, hi: int) -> Integers:
    """Whole numbers from `lo` to `hi`, both included.

    Raises:
        ConfigError: `lo` is not below `hi`.
    """
    _check_ends(lo, hi, -math.inf)
    return Integers(lo, hi)


def choice(*values: Any) -> Choice:
    """One of the values, which may also come as one list.

    Raises:
        ConfigError: there are none.
    """
    if len(values) == 1 and isinstance(values[0], list):
        values = tuple(values[0])
    if not values:
        raise ConfigError(162, "a choice needs at least one value")
    return Choice(values)


def draw(dimensions: Mapping[str, Distribution], count: int, *, method: Method = "halton", seed: int = 0) -> Space:
    """So many settings from a search space.

    Args:
        dimensions: key of the config -> its distribution.
        count: how many.
        method: `halton` (Halton 1960), `sobol` (Sobol 1967; best at powers of two) or `random`.
        seed: of the scrambling (Owen 2017), or of the random numbers.

    Raises:
        ConfigError: no dimension, no draw, or an unknown method.
    """
    if not dimensions or count < 1:
        raise ConfigError(163, f"a search of {count} draws in {len(dimensions)} dimensions: give at least one of each")
    points = _points(len(dimensions), count, method, seed)
    return [{key: d.at(float(u)) for (key, d), u in zip(dimensions.items(), row, strict=True)} for row in points]


def _points(dimensions: int, count: int, method: str, seed: int) -> np.ndarray | Sequence[Sequence[float]]:
    """`count` points of the unit cube, each coordinate below 1."""
    from scipy.stats import qmc  # a second of import that a grid need not wait for

    if method == "halton":
        return qmc.Halton(dimensions, scramble=True, rng=np.random.default_rng(seed)).random(count)
    if method == "sobol":
        sobol = qmc.Sobol(dimensions, scramble=True, rng=np.random.default_rng(seed))
        return sobol.random(1 << (count - 1).bit_length())[:count]  # it warns at counts between powers of two
    if method == "random":
        return np.random.default_rng(seed).random((count, dimensions))
    raise ConfigError(164, f"unknown search {method!r}: use halton, sobol or random")


def _check_ends(lo: float, hi: float, above: float) -> None:
    if not above < lo < hi < math.inf:
        least = "0 < " if above == 0 else ""
        raise ConfigError(165, f"a range from {lo} to {hi} is empty or endless: use {least}lo < hi")
