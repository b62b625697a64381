"""Pooling by shifted slices: fast on a CPU, its gradients without scatter or reduce-window.

`lax` computes the gradient of max pooling by a reduce-window over pairs and a scatter. Here the forward pass under
differentiation keeps one small integer per output, the number of the tap that won, and the backward pass compares.
"""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from cnn_jax.ops.geometry import Pads

Sizes = tuple[int, ...]


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def fast_max_pool(x: Array, window: Sizes, strides: Sizes, pads: Pads) -> Array:
    """The maximum of each window of [N, spatial..., C]; arguments canonical and checked."""
    taps = _taps(_widen(x, pads, lowest(x.dtype)), window, strides)
    y = taps[0]
    for tap in taps[1:]:
        y = jnp.maximum(y, tap)
    return y


def _forward(x, window, strides, pads):
    return fast_max_pool(x, window, strides, pads), (x.shape[1:-1], winning_tap(x, window, strides, pads))


def _backward(window, strides, pads, saved, g):
    sizes, winner = saved
    return (place_taps(g, winner, sizes, window, strides, pads),)


fast_max_pool.defvjp(_forward, _backward)


def winning_tap(x: Array, window: Sizes, strides: Sizes, pads: Pads) -> Array:
    """The number of the first tap, in row-major order, that holds the maximum of each window; NaN wins over numbers."""
    taps = _taps(_widen(x, pads, lowest(x.dtype)), window, strides)
    dtype = jnp.uint8 if len(taps) <= np.iinfo(np.uint8).max else jnp.int32
    y, winner = taps[0], jnp.zeros(taps[0].shape, dtype)
    for number, tap in enumerate(taps[1:], 1):
        wins = (tap > y) | (tap != tap)
        y, winner = jnp.where(wins, tap, y), jnp.where(wins, jnp.asarray(number, dtype), winner)
    return winner


def place_taps(g: Array, winner: Array, sizes: Sizes, window: Sizes, strides: Sizes, pads: Pads) -> Array:
    """Puts each of g where its window's winner is, adding where windows overlap: [N, out..., C] to [N, *sizes, C].

    The transposed pooling of max pooling. The image is seen as blocks of one stride: pixel r of block i belongs to the
    windows i - q that reach so far, to whose it is tap r + q * stride. So the whole is one sum, over q, of comparisons
    with constants, which compiles to one pass over contiguous numbers.
    """
    n, channels, outs = g.shape[0], g.shape[-1], g.shape[1:-1]
    reach = [-(-k // s) for k, s in zip(window, strides, strict=True)]
    blocks = [m + a - 1 for m, a in zip(outs, reach, strict=True)]
    around = tuple((a - 1, a - 1) for a in reach)
    g, winner = _widen(g, around, 0), _widen(winner, around, 0)

    def at(x, start):
        """The windows from `start` on, an axis of size 1 after each of theirs: [N, i, 1, j, 1, C]."""
        x = lax.slice(x, (0, *start, 0), (n, *(a + m for a, m in zip(start, blocks, strict=True)), channels))
        return x.reshape(n, *(size for m in blocks for size in (m, 1)), channels)

    total = jnp.zeros((), g.dtype)
    for q in itertools.product(*map(range, reach)):
        start = [a - 1 - b for a, b in zip(reach, q, strict=True)]
        tap = _numbers(q, window, strides, winner.dtype)
        total = total + jnp.where(at(winner, start) == tap, at(g, start), jnp.zeros((), g.dtype))
    dx = total.reshape(n, *(m * s for m, s in zip(blocks, strides, strict=True)), channels)
    return _fit(dx, sizes, pads)


def _numbers(q: Sizes, window: Sizes, strides: Sizes, dtype) -> np.ndarray:
    """The number of the tap that each pixel of a block is to the window q blocks before: [1, 1, s, 1, t, 1].

    Where the window does not reach that far, a number that no tap has.
    """
    number, exists = np.zeros((), int), np.ones((), bool)
    for axis, (before, k, s) in enumerate(zip(q, window, strides, strict=True)):
        shape = [1] * (2 * len(q) + 2)
        shape[2 * axis + 2] = s
        tap = (np.arange(s) + before * s).reshape(shape)
        number, exists = number * k + tap, exists & (tap < k)
    return np.where(exists, number, np.iinfo(dtype).max).astype(dtype)


def sum_pool(x: Array, window: Sizes, strides: Sizes, pads: Pads) -> Array:
    """The sum over each window, one dimension after the other."""
    x = _widen(x, pads, 0)
    for axis, (k, s) in enumerate(zip(window, strides, strict=True), 1):
        count = (x.shape[axis] - k) // s + 1
        if k == s:
            x = lax.slice_in_dim(x, 0, count * k, axis=axis)
            x = x.reshape(*x.shape[:axis], count, k, *x.shape[axis + 1 :]).sum(axis + 1)
            continue
        taps = [lax.slice_in_dim(x, i, i + (count - 1) * s + 1, s, axis=axis) for i in range(k)]
        x = sum(taps[1:], start=taps[0])
    return x


def lowest(dtype) -> float | int:
    """What padding holds in max pooling: the value that never wins."""
    return -jnp.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min


def _widen(x: Array, pads: Pads, value: float) -> Array:
    if not any(map(any, pads)):
        return x
    return lax.pad(x, jnp.asarray(value, x.dtype), [(0, 0, 0), *((lo, hi, 0) for lo, hi in pads), (0, 0, 0)])


def _taps(x: Array, window: Sizes, strides: Sizes) -> list[Array]:
    sizes = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], window, strides, strict=True)]
    taps = []
    for offset in itertools.product(*map(range, window)):
        stop = [o + (n - 1) * s + 1 for o, n, s in zip(offset, sizes, strides, strict=True)]
        taps.append(lax.slice(x, (0, *offset, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1)))
    return taps


def _fit(x: Array, sizes: Sizes, pads: Pads) -> Array:
    """Drops the padding before, and drops or adds rows after, to leave `sizes`."""
    return _widen(x, tuple((-lo, n + lo - m) for (lo, _), n, m in zip(pads, sizes, x.shape[1:-1], strict=True)), 0)
