"""How an array of ours lies in a source: reshaped, axes permuted, reshaped. Nothing is copied that need not be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

Shape = tuple[int, ...]


class Layout(NamedTuple):
    """The way from an array of ours to the source's, and back.

    Attributes:
        split: the shape that ours is first reshaped to.
        order: the axes of that, in the source's order.
        shape: the source's shape.
    """

    split: Shape
    order: tuple[int, ...]
    shape: Shape

    def outward(self, ours: np.ndarray) -> np.ndarray:
        """Ours as the source has it."""
        return np.ascontiguousarray(ours.reshape(self.split).transpose(self.order).reshape(self.shape))

    def inward(self, theirs: np.ndarray, ours: Shape) -> np.ndarray:
        """The source's as an array of the shape `ours`."""
        permuted = theirs.reshape([self.split[axis] for axis in self.order])
        return np.ascontiguousarray(permuted.transpose(np.argsort(self.order)).reshape(ours))


def same(shape: Shape) -> Layout:
    """As it is."""
    return permuted(shape, range(len(shape)))


def permuted(shape: Shape, order: Sequence[int]) -> Layout:
    """Axes permuted: HWIO to OIHW is `(3, 2, 0, 1)`, grouped and depthwise kernels included."""
    return Layout(shape, tuple(order), tuple(shape[axis] for axis in order))


def after_flatten(shape: Shape, channels: int) -> Layout:
    """A dense kernel whose inputs are a flattened map: [HW x C, out] here, [out, C x HW] with channels first.

    A number of inputs that is no multiple of `channels` is left to the comparison of shapes.
    """
    inputs, features = shape
    if inputs % channels:
        return permuted(shape, (1, 0))
    return Layout((inputs // channels, channels, features), (2, 1, 0), (features, inputs))


def as_convolution(shape: Shape, channels: int) -> Layout:
    """The same kernel as a convolution over the whole (square) map: [out, C, H, W]; 1x1 where nothing was flattened."""
    inputs, features = shape
    side = max(1, math.isqrt(inputs // channels))
    return after_flatten(shape, channels)._replace(shape=(features, channels, side, inputs // channels // side))
