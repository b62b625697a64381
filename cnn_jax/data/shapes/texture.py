"""Texture fields: a number in [0, 1] per point, which blends a surface's two colours. Independent of the shape."""

from __future__ import annotations

import numpy as np

from cnn_jax.data.shapes import draw

PLAIN, GRADIENT, STRIPES, CHECKS, DOTS, NOISE = range(6)
KINDS = 6


def _wave(turns: np.ndarray) -> np.ndarray:
    """A wave of period 1 between -1 and 1, smooth as a sine but made of a parabola."""
    t = turns - np.rint(turns)
    return t * (8.0 - 16.0 * np.abs(t))


def _soft_step(x: np.ndarray, sharpness: float) -> np.ndarray:
    """-1..1 to 0..1, steeper around 0 by `sharpness`, with smooth shoulders."""
    t = np.clip(x * (0.5 * sharpness) + 0.5, 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def _lattice(ix: np.ndarray, iy: np.ndarray, salt: np.ndarray) -> np.ndarray:
    """A number in [0, 1) for each corner of the integer lattice."""
    hashed = draw.mix(salt + (ix.astype(np.int64) * 0x1F123BB5 + iy.astype(np.int64) * 0x5F356495).astype(np.uint64))
    return (hashed >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)


def _value_noise(x: np.ndarray, y: np.ndarray, salt: np.ndarray) -> np.ndarray:
    ix, iy = np.floor(x), np.floor(y)
    fx, fy = x - ix, y - iy
    fx, fy = fx * fx * (3.0 - 2.0 * fx), fy * fy * (3.0 - 2.0 * fy)
    low = _lattice(ix, iy, salt)
    low += (_lattice(ix + 1, iy, salt) - low) * fx
    high = _lattice(ix, iy + 1, salt)
    high += (_lattice(ix + 1, iy + 1, salt) - high) * fx
    return low + (high - low) * fy


def field(kind: int, x: np.ndarray, y: np.ndarray, salt: np.ndarray) -> np.ndarray | float:
    """The texture `kind` at texture coordinates (in periods), float32 [m, H, W].

    Args:
        kind: one of PLAIN .. NOISE.
        x, y: float32 [m, H, W].
        salt: uint64 [m, 1, 1]: which noise.
    """
    if kind == PLAIN:
        return 0.5
    if kind == GRADIENT:
        return np.clip(0.5 + x * np.float32(0.3), 0.0, 1.0)
    if kind == STRIPES:
        return _soft_step(_wave(x), 1.7)
    if kind == CHECKS:
        return _soft_step(_wave(x * np.float32(0.75)) * _wave(y * np.float32(0.75)), 2.5)
    if kind == DOTS:
        fx, fy = x - np.rint(x), y - np.rint(y)
        return _soft_step(1.0 - (fx * fx + fy * fy) * 9.0, 1.5)
    return _value_noise(x * np.float32(1.5), y * np.float32(1.5), salt)
