"""Counter-based random numbers: a draw is a pure function of (seed, split, index, slot), whatever else is drawn.

The generator is SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014) with the
counter in place of the state, in integer arithmetic only, so every machine gives the same bits.
"""

from __future__ import annotations

import numpy as np

_GAMMA = 0x9E3779B97F4A7C15
_WORD = (1 << 64) - 1


def mix(x: np.ndarray) -> np.ndarray:
    """The SplitMix64 finaliser: a bijection of uint64 whose output bits all depend on all input bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def example_keys(indices: np.ndarray, *, seed: int, split: int) -> np.ndarray:
    """One uint64 key per index: [n] integers to [n] keys."""
    base = mix(np.array([(seed * 64 + split + 1) * _GAMMA & _WORD], np.uint64))
    return mix(mix(np.asarray(indices).astype(np.uint64) * np.uint64(_GAMMA) + base) ^ base)


def uniform(keys: np.ndarray, slot: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Uniform float64 in [low, high), one per key; `slot` numbers the draws of one example."""
    bits = mix(keys + np.uint64((slot + 1) * _GAMMA & _WORD)) >> np.uint64(11)
    return low + (high - low) * (bits.astype(np.float64) * 2.0**-53)


def integer(keys: np.ndarray, slot: int, count: int) -> np.ndarray:
    """Uniform int64 in [0, count), one per key."""
    return (uniform(keys, slot) * count).astype(np.int64)


def sine(turns: np.ndarray) -> np.ndarray:
    """sin(2 pi turns) to 1e-7, by a polynomial: libraries' sines differ in the last bit between machines."""
    t = turns - np.rint(turns)
    t = np.where(np.abs(t) > 0.25, np.copysign(0.5, t) - t, t) * (2 * np.pi)
    s = t * t
    return t * (1 + s * (-1 / 6 + s * (1 / 120 + s * (-1 / 5040 + s * (1 / 362880 - s / 39916800)))))


def cosine(turns: np.ndarray) -> np.ndarray:
    """cos(2 pi turns) to 1e-7."""
    return sine(turns + 0.25)
