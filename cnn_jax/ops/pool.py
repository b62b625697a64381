"""Pooling: the maximum, minimum or mean of a window.

Images are [N, spatial..., C], windows have 1 to 3 dimensions. On a CPU the work is done by `cnn_jax.ops.fast_pool`;
elsewhere, and under `plain_ops()`, by `lax.reduce_window`. Where several pixels of a window share the maximum, the first
in row-major order gets the whole gradient, as in `lax` and PyTorch.

Reverse mode and `jax.vmap` work everywhere; forward mode of `max_pool` and `min_pool` only under `plain_ops()`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float, Num

from cnn_jax.errors import GeometryError
from cnn_jax.ops.dispatch import prefers_plain
from cnn_jax.ops.fast_pool import fast_max_pool, fast_sum_pool
from cnn_jax.ops.geometry import Padding, Pads, canonical_padding, per_dimension, window_output


def max_pool(
    x: Num[Array, "n *sizes c"],
    window_shape: int | Sequence[int],
    *,
    strides: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    strict: bool = False,
) -> Num[Array, "n *out c"]:
    """The maximum of each window; padding never wins.

    Args:
        x: images, [N, spatial..., C].
        window_shape: size of the window; one for all dimensions or one each.
        strides: step of the window, by default the window's size; smaller steps overlap (AlexNet: 3 and 2).
        padding: as in `conv`; `ceil_padding` gives Caffe's ceil mode.
        strict: refuse geometry that leaves a remainder.

    Raises:
        GeometryError: geometry that does not fit, or padding as wide as the window; the message names what would do.
    """
    window, strides, pads = _check(x, window_shape, strides, padding, strict)
    if not prefers_plain():
        return fast_max_pool(x, window, strides, pads)
    return lax.reduce_window(x, lowest(x.dtype), lax.max, (1, *window, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0)))


def min_pool(x: Num[Array, "n *sizes c"], window_shape: int | Sequence[int], **options) -> Num[Array, "n *out c"]:
    """The minimum of each window; options and errors as in `max_pool`."""
    return -max_pool(-x, window_shape, **options)


def avg_pool(
    x: Float[Array, "n *sizes c"],
    window_shape: int | Sequence[int],
    *,
    strides: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    count_include_pad: bool = False,
    strict: bool = False,
) -> Float[Array, "n *out c"]:
    """The mean of each window.

    Args:
        x: images, [N, spatial..., C].
        window_shape: size of the window.
        strides: step of the window, by default the window's size.
        padding: as in `conv`.
        count_include_pad: divide by the size of the window; otherwise by the pixels in it that belong to the image.
        strict: refuse geometry that leaves a remainder.

    Raises:
        GeometryError: as in `max_pool`.
    """
    window, strides, pads = _check(x, window_shape, strides, padding, strict)
    if not prefers_plain():
        total = fast_sum_pool(x, window, strides, pads)
    else:
        zero = jnp.zeros((), x.dtype)
        total = lax.reduce_window(x, zero, lax.add, (1, *window, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0)))
    if count_include_pad or not any(map(any, pads)):
        return total / math.prod(window)
    return total / _pixel_counts(x.shape[1:-1], window, strides, pads, x.dtype)


def global_avg_pool(x: Float[Array, "n *sizes c"]) -> Float[Array, "n c"]:
    """The mean over all pixels of each channel (Lin et al. 2013, "Network in Network", section 3.2).

    Raises:
        GeometryError: an image without pixels.
    """
    return _global(x).mean(axis=tuple(range(1, x.ndim - 1)))


def global_max_pool(x: Num[Array, "n *sizes c"]) -> Num[Array, "n c"]:
    """The maximum over all pixels of each channel; ties as in `max_pool`.

    Raises:
        GeometryError: an image without pixels.
    """
    x = _global(x)
    return max_pool(x, x.shape[1:-1]).reshape(x.shape[0], x.shape[-1])


def lowest(dtype) -> Array:
    """What padding holds in max pooling: the value that never wins."""
    if jnp.issubdtype(dtype, jnp.floating):
        return jnp.asarray(-jnp.inf, dtype)
    return jnp.asarray(jnp.iinfo(dtype).min, dtype)


def _global(x: Array) -> Array:
    if x.ndim < 3 or 0 in x.shape[1:-1]:
        raise GeometryError(5, f"image of shape {x.shape} has no pixels to pool: use [N, spatial..., C]")
    return x


def _check(x, window_shape, strides, padding, strict) -> tuple[tuple[int, ...], tuple[int, ...], Pads]:
    rank = x.ndim - 2
    if rank not in (1, 2, 3):
        raise GeometryError(
            5, f"image of shape {x.shape} cannot be pooled: use [N, spatial..., C], 1 to 3 spatial dimensions"
        )
    window = per_dimension(window_shape, rank, "window size")
    strides = window if strides is None else per_dimension(strides, rank, "stride")
    pads = canonical_padding(padding, window, strides, (1,) * rank, x.shape[1:-1])
    window_output(x.shape[1:-1], window, strides, pads, (1,) * rank, strict=strict, what="window")
    if any(max(pair) >= k for pair, k in zip(pads, window, strict=True)):
        raise GeometryError(
            11,
            f"padding {pads} is as wide as the window {window}, so a window may hold no pixel: use padding below the window's size",
        )
    return window, strides, pads


def _pixel_counts(sizes, window, strides, pads, dtype) -> Array:
    """Pixels of the image in each window, [1, out..., 1]: a product of one count per dimension."""
    rank = len(sizes)
    counts = jnp.ones((1,) * (rank + 2), dtype)
    for axis, (n, k, s, (lo, hi)) in enumerate(zip(sizes, window, strides, pads, strict=True)):
        starts = [i * s - lo for i in range((n + lo + hi - k) // s + 1)]
        inside = [min(start + k, n) - max(start, 0) for start in starts]
        shape = [1] * (rank + 2)
        shape[axis + 1] = len(inside)
        counts = counts * jnp.asarray(inside, dtype).reshape(shape)
    return counts
