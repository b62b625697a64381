"""Pooling: the maximum, minimum or mean of a window.

Images are [N, spatial..., C], windows have 1 to 3 dimensions. On a CPU `cnn_jax.ops.fast_pool` does the work, elsewhere
and under `plain_ops()` it is `lax.reduce_window`. Where several pixels of a window share the maximum, the first in
row-major order gets the whole gradient, as in `lax` and PyTorch.

Reverse mode and `jax.vmap` work everywhere; forward mode of `max_pool` and `min_pool` only under `plain_ops()`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax
from jaxtyping import Float, Int, Num

from cnn_jax.errors import GeometryError
from cnn_jax.ops.dispatch import prefers_plain
from cnn_jax.ops.fast_pool import fast_max_pool, lowest, place_taps, sum_pool, winning_tap
from cnn_jax.ops.geometry import Padding, Pads, canonical_padding, per_dimension, window_output
from cnn_jax.ops.plain import is_plain


def max_pool(
    x: Num[Array, "n *sizes c"],
    window_shape: int | Sequence[int],
    *,
    strides: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    strict: bool = False,
) -> Num[Array, "n *out c"]:
    """The maximum of each window; padding never wins (Jarrett et al. 2009, section 2.1).

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
    # A concrete start value: lax recognises the maximum, and differentiates it, only then.
    fill = np.asarray(lowest(x.dtype), x.dtype)
    return lax.reduce_window(x, fill, lax.max, (1, *window, 1), (1, *strides, 1), ((0, 0), *pads, (0, 0)))


def min_pool(x: Num[Array, "n *sizes c"], window_shape: int | Sequence[int], **options) -> Num[Array, "n *out c"]:
    """The minimum of each window, minus the maximum of minus the image; options and errors as in `max_pool`.

    The lectures' third pooling beside the maximum and the mean; no paper here uses it.
    """
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
    """The mean of each window: the sub-sampling of LeNet-5 (LeCun et al. 1998, section II-B) without its weights.

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
        total = sum_pool(x, window, strides, pads)
    else:
        zero = np.zeros((), x.dtype)
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
    """The maximum over all pixels of each channel (Oquab et al. 2015, section 3).

    The first in row-major order gets the gradient, as in `max_pool`.

    Raises:
        GeometryError: an image without pixels.
    """
    x = _global(x)
    if is_plain():
        return max_pool(x, x.shape[1:-1]).reshape(x.shape[0], x.shape[-1])
    pixels = x.reshape(x.shape[0], -1, x.shape[-1])
    first = jnp.argmax(lax.stop_gradient(pixels), axis=1, keepdims=True)
    chosen = jnp.arange(pixels.shape[1]).reshape(1, -1, 1) == first
    return jnp.where(chosen, pixels, jnp.zeros((), x.dtype)).sum(axis=1)


def max_pool_switches(
    x: Num[Array, "n *sizes c"],
    window_shape: int | Sequence[int],
    *,
    strides: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
    strict: bool = False,
) -> tuple[Num[Array, "n *out c"], Int[Array, "n *out c"]]:
    """`max_pool`, and the switches: which tap of each window won (Zeiler and Fergus 2013, section 2.1).

    Arguments and errors as in `max_pool`.

    Returns:
        The maxima, and the winner's row-major number within its window, the first on ties; `unpool` takes both.
    """
    window, strides, pads = _check(x, window_shape, strides, padding, strict)
    y = max_pool(x, window, strides=strides, padding=pads)
    return y, winning_tap(lax.stop_gradient(x), window, strides, pads)


def unpool(
    y: Num[Array, "n *out c"],
    switches: Int[Array, "n *out c"],
    sizes: Sequence[int],
    window_shape: int | Sequence[int],
    *,
    strides: int | Sequence[int] | None = None,
    padding: Padding = "VALID",
) -> Num[Array, "n *sizes c"]:
    """Puts each value back where its maximum came from, zeros elsewhere; values add where windows overlap.

    With the switches of `max_pool_switches` this is the adjoint of that pooling, and the unpooling of a deconvnet
    (Zeiler and Fergus 2013, section 2.1).

    Args:
        y: values, [N, out..., C].
        switches: the winners' numbers within their windows.
        sizes: spatial size of the image that was pooled.
        window_shape: as given to the pooling.
        strides: as given to the pooling.
        padding: as given to the pooling.

    Raises:
        GeometryError: a geometry that does not pool `sizes` to the shape of `y`.
    """
    pooled = jax.ShapeDtypeStruct((y.shape[0], *sizes, y.shape[-1]), y.dtype)
    window, strides, pads = _check(pooled, window_shape, strides, padding, False)
    out = window_output(tuple(sizes), window, strides, pads, (1,) * len(window), what="window")
    if out != y.shape[1:-1] or switches.shape != y.shape:
        raise GeometryError(
            13,
            f"values of shape {y.shape} with switches of shape {switches.shape} cannot be unpooled to {tuple(sizes)}: "
            f"that size pools to {out}; give both the shape {(y.shape[0], *out, y.shape[-1])}, or another size",
        )
    return place_taps(y, switches, tuple(sizes), window, strides, pads)


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
            f"padding {pads} is as wide as the window {window}, so that a window may hold no pixel: use padding below "
            "the window's size",
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
