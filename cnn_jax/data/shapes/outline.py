"""Outlines of the ten classes and of the clutter, as distance functions of object coordinates.

Negative inside, positive outside, with a slope near 1 at the outline, so that `0.5 - distance / pixel` is the share of
a pixel that the shape covers. All shapes have the area of the unit disc (pi): size says nothing about the class. Only
+ - * / sqrt, abs, min and max are used: they round alike on every machine.
Star and heart follow Inigo Quilez, "2D distance functions" (iquilezles.org/articles/distfunctions2d).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

CLASSES = ("disc", "ring", "triangle", "square", "pentagon", "star", "cross", "crescent", "heart", "arrow")
BAR = len(CLASSES)  # a long bar: clutter and occluders, never a class
FULL = BAR + 1  # the whole plane: the background

Outline = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _length(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(x * x + y * y)


def _box(x: np.ndarray, y: np.ndarray, half_width: float, half_height: float) -> np.ndarray:
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def _disc(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _length(x, y) - 1.0


def _ring(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.abs(_length(x, y) - 0.88) - 0.34


def _triangle(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(0.8660254 * np.abs(x) + 0.5 * y, -y)


def _pentagon(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    return np.maximum(np.maximum(0.58778525 * x + 0.80901699 * y, 0.95105652 * x - 0.30901699 * y), -y)


def _star(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    fold = 2.0 * np.maximum(0.80901699 * x - 0.58778525 * y, 0.0)
    x, y = x - fold * 0.80901699, y + fold * 0.58778525
    fold = 2.0 * np.maximum(-0.80901699 * x - 0.58778525 * y, 0.0)
    x, y = np.abs(x + fold * 0.80901699), y + fold * 0.58778525 - 1.0
    along = np.clip(x * _STAR_EDGE[0] + y * _STAR_EDGE[1], 0.0, 1.2)
    distance = _length(x - _STAR_EDGE[0] * along, y - _STAR_EDGE[1] * along)
    return np.copysign(distance, y * _STAR_EDGE[0] - x * _STAR_EDGE[1])


def _star_edge(inner: float) -> tuple[float, float]:
    """Direction of the edge from a tip to the inner corner at radius `inner` of the tip."""
    x, y = 0.58778525 * inner, 0.80901699 * inner - 1.0
    norm = float(np.sqrt(x * x + y * y))
    return x / norm, y / norm


_STAR_EDGE = _star_edge(0.47)


def _cross(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = np.abs(x), np.abs(y)
    return np.maximum(np.maximum(x, y) - 1.0, np.minimum(x, y) - 0.36)


def _crescent(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(_length(x, y) - 1.0, 0.82 - _length(x, y - 0.55))


def _heart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    fold = 0.5 * np.maximum(x + y, 0.0)
    lobe = _length(x - 0.25, y - 0.75) - 0.35355339
    flank = np.sqrt(np.minimum(x * x + (y - 1.0) ** 2, (x - fold) ** 2 + (y - fold) ** 2))
    return np.where(x + y > 1.0, lobe, np.copysign(flank, x - y))


def _arrow(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    head = np.maximum(0.76822128 * np.abs(x) + 0.64018440 * (y - 1.0), -y)
    return np.minimum(head, _box(x, y + 0.45, 0.3, 0.55))


def _square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y))


def _bar(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return _box(x, y, 1.0, 0.14)


# Per kind: the function, the offset that places its outline, the scale that makes its area pi, and the height of its
# centroid, found by counting the points of a fine grid.
_TABLE: dict[int, tuple[Outline, float, float, float]] = {
    0: (_disc, 0, 1, 0),
    1: (_ring, 0, 1.09394, 0),
    2: (_triangle, 0.6, 0.77122, 0),
    3: (_square, 0.8, 0.90270, 0),
    4: (_pentagon, 0.8, 0.86048, 0),
    5: (_star, 0, 0.66308, 0),
    6: (_cross, 0, 0.86743, 0),
    7: (_crescent, 0, 0.70391, -0.38635),
    8: (_heart, 0, 0.53279, 0.65693),
    9: (_arrow, 0, 0.67503, -0.01515),
    BAR: (_bar, 0, 1, 0),
}


def distance(kind: int, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Signed distance to the outline of `kind`, in units of the shape's equal-area radius.

    Args:
        kind: a class's number, or `BAR`.
        x, y: float32 object coordinates, the centroid at (0, 0), y upwards in the shape's upright pose.
    """
    outline, offset, scale, height = _TABLE[kind]
    return (
        outline(x * np.float32(scale), y * np.float32(scale) + np.float32(height)) - np.float32(offset)
    ) * np.float32(1 / scale)
