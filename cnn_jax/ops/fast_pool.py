"""Pooling by shifted slices: fast on a CPU, and its gradients need neither scatter nor reduce-window."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.geometry import Pads


def fast_max_pool(x: Array, window: tuple[int, ...], strides: tuple[int, ...], pads: Pads) -> Array:
    """`max_pool` after its arguments are checked."""
    return _max_pool(x, window, strides, pads)


@partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def _max_pool(x, window, strides, pads):
    fill = -jnp.inf if jnp.issubdtype(x.dtype, jnp.floating) else jnp.iinfo(x.dtype).min
    taps = _taps(_widen(x, pads, fill), window, strides)
    y = taps[0]
    for tap in taps[1:]:
        y = jnp.maximum(y, tap)
    return y


def _max_forward(x, window, strides, pads):
    y = _max_pool(x, window, strides, pads)
    return y, (x, y)


def _max_backward(window, strides, pads, saved, g):
    x, y = saved
    padded = _widen(x, pads, -jnp.inf)
    free = jnp.ones(y.shape, bool)
    parts = []
    for tap in _taps(padded, window, strides):
        hit = free & (tap == y)
        free &= ~hit
        parts.append(jnp.where(hit, g, 0))
    return (_gather(parts, padded.shape, window, strides, pads, x.shape),)


_max_pool.defvjp(_max_forward, _max_backward)


def fast_sum_pool(x: Array, window: tuple[int, ...], strides: tuple[int, ...], pads: Pads) -> Array:
    """The sum over each window."""
    return sum(_taps(_widen(x, pads, 0), window, strides)[1:], start=_taps(_widen(x, pads, 0), window, strides)[0])


def _widen(x, pads, value):
    if not any(map(any, pads)):
        return x
    return lax.pad(x, jnp.asarray(value, x.dtype), [(0, 0, 0), *((lo, hi, 0) for lo, hi in pads), (0, 0, 0)])


def _taps(x, window, strides):
    sizes = [(n - k) // s + 1 for n, k, s in zip(x.shape[1:-1], window, strides, strict=True)]
    taps = []
    for offset in itertools.product(*map(range, window)):
        stop = [o + (n - 1) * s + 1 for o, n, s in zip(offset, sizes, strides, strict=True)]
        taps.append(lax.slice(x, (0, *offset, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1)))
    return taps


def _gather(parts, padded_shape, window, strides, pads, shape):
    total = jnp.zeros(padded_shape, parts[0].dtype)
    for part, offset in zip(parts, itertools.product(*map(range, window)), strict=True):
        widths = [
            (o, n - o - ((m - 1) * s + 1), s - 1)
            for o, n, m, s in zip(offset, padded_shape[1:-1], part.shape[1:-1], strides, strict=True)
        ]
        total = total + lax.pad(part, jnp.zeros((), part.dtype), [(0, 0, 0), *widths, (0, 0, 0)])
    starts = [lo for lo, _ in pads]
    return lax.slice(
        total, (0, *starts, 0), (shape[0], *(lo + n for lo, n in zip(starts, shape[1:-1], strict=True)), shape[-1])
    )
