"""A convolution of an image smaller than its kernel, as one matrix product.

XLA:CPU's fast code does not take such a convolution (the last ones of a VGG on 32x32 images: 3x3 on 2x2 pixels), and
what does is some fifty times slower. Nearly every output then sees nearly every pixel, so that the matrix of the
convolution (Dumoulin and Visin 2016, section 4.1) is hardly larger than the work.
"""

from __future__ import annotations

import itertools
import math

import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.geometry import Pads

Pair = tuple[int, int]
_MOST_ENTRIES = 2**22


def is_dense(x: Array, kernel: Array, strides: Pair, pads: Pads, dilation: Pair) -> bool:
    """Whether the kernel, holes included, is larger than the image, and the matrix of a size worth writing down."""
    sizes, reach = x.shape[1:3], _reach(kernel, dilation)
    outs = _outs(sizes, reach, strides, pads)
    return any(k > n for k, n in zip(reach, sizes, strict=True)) and (
        math.prod(sizes) * math.prod(outs) * math.prod(kernel.shape[2:]) <= _MOST_ENTRIES
    )


def dense_conv(x: Array, kernel: Array, strides: Pair, pads: Pads, dilation: Pair) -> Array:
    """Cross-correlation of [N, H, W, C] by [h, w, C, F]; arguments canonical and checked."""
    sizes, reach = x.shape[1:3], _reach(kernel, dilation)
    outs = _outs(sizes, reach, strides, pads)
    # Pixel i is tap i + lo - o * stride of output o: of the kernel among enough zeros, a slice as large as the image.
    before = [max(0, (m - 1) * s - lo) for m, s, (lo, _) in zip(outs, strides, pads, strict=True)]
    after = [max(0, n + lo - k) for n, k, (lo, _) in zip(sizes, reach, pads, strict=True)]
    widths = [(b, a, d - 1) for b, a, d in zip(before, after, dilation, strict=True)]
    kernel = lax.pad(kernel, jnp.zeros((), kernel.dtype), [*widths, (0, 0, 0), (0, 0, 0)])
    columns = []
    for out in itertools.product(*map(range, outs)):
        start = [b + lo - o * s for b, (lo, _), o, s in zip(before, pads, out, strides, strict=True)]
        stop = [a + n for a, n in zip(start, sizes, strict=True)]
        columns.append(lax.slice(kernel, (*start, 0, 0), (*stop, *kernel.shape[2:])))
    matrix = jnp.stack(columns, axis=3).reshape(math.prod(x.shape[1:]), -1)
    return (x.reshape(x.shape[0], -1) @ matrix).reshape(x.shape[0], *outs, kernel.shape[-1])


def _reach(kernel, dilation):
    return [d * (k - 1) + 1 for k, d in zip(kernel.shape[:2], dilation, strict=True)]


def _outs(sizes, reach, strides, pads):
    return [(n + lo + hi - k) // s + 1 for n, k, s, (lo, hi) in zip(sizes, reach, strides, pads, strict=True)]
