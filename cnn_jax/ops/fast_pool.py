"""Pooling by shifted slices: fast on a CPU, its gradients without scatter or reduce-window.

`lax` computes the gradient of max pooling by a reduce-window over pairs and a scatter. Here the forward pass under
differentiation keeps one small integer per output, the number of the tap that won, and the backward pass compares.
"""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
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
    dtype = jnp.uint8 if len(taps) <= 256 else jnp.int32
    y, winner = taps[0], jnp.zeros(taps[0].shape, dtype)
    for number, tap in enumerate(taps[1:], 1):
        wins = (tap > y) | (tap != tap)
        y, winner = jnp.where(wins, tap, y), jnp.where(wins, jnp.asarray(number, dtype), winner)
    return winner


def place_taps(g: Array, winner: Array, sizes: Sizes, window: Sizes, strides: Sizes, pads: Pads) -> Array:
    """Puts each of g where its window's winner is, adding where windows overlap: [N, out..., C] to [N, *sizes, C].

    The transposed pooling of max pooling. Pixels are grouped by their place within a stride: each group receives whole,
    unspread arrays, and the groups are interleaved at the end.
    """
    rank, outs = len(window), g.shape[1:-1]
    steps = [-(-k // s) for k, s in zip(window, strides, strict=True)]
    longs = [m + a - 1 for m, a in zip(outs, steps, strict=True)]
    strided = [range(0, k, s) for k, s in zip(window, strides, strict=True)]
    groups = []
    for phase in itertools.product(*map(range, strides)):
        total = None
        for base in itertools.product(*strided):
            tap = [b + p for b, p in zip(base, phase, strict=True)]
            if any(t >= k for t, k in zip(tap, window, strict=True)):
                continue
            number = 0
            for t, k in zip(tap, window, strict=True):
                number = number * k + t
            part = jnp.where(winner == jnp.asarray(number, winner.dtype), g, jnp.zeros((), g.dtype))
            shift = [b // s for b, s in zip(base, strides, strict=True)]
            part = _widen(part, tuple((b, n - m - b) for b, n, m in zip(shift, longs, outs, strict=True)), 0)
            total = part if total is None else total + part
        groups.append(jnp.zeros((g.shape[0], *longs, g.shape[-1]), g.dtype) if total is None else total)
    return _fit(_interleave(groups, strides, rank), sizes, pads)


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


def _interleave(groups: list[Array], strides: Sizes, rank: int) -> Array:
    """Arrays of the phases in row-major order to one array, phase p of stride s at pixels p, p + s, ..."""
    n, *longs, c = groups[0].shape
    if len(groups) == 1:
        return groups[0]
    stacked = jnp.stack(groups).reshape(*strides, n, *longs, c)
    order = [rank, *(axis for i in range(rank) for axis in (rank + 1 + i, i)), 2 * rank + 1]
    return stacked.transpose(order).reshape(n, *(m * s for m, s in zip(longs, strides, strict=True)), c)


def _fit(x: Array, sizes: Sizes, pads: Pads) -> Array:
    """Drops the padding before, and drops or adds rows after, to leave `sizes`."""
    return _widen(x, tuple((-lo, n + lo - m) for (lo, _), n, m in zip(pads, sizes, x.shape[1:-1], strict=True)), 0)
