"""Depthwise convolution as shifted multiply-adds: what a CPU does fast, forward and backward.

As a grouped convolution XLA:CPU computes the kernel's gradient between all pairs of channels and keeps the diagonal.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.conv_gradients import Pair, pad_images, shifted, spread
from cnn_jax.ops.geometry import Pads

# Of image and gradient together: with the nine sums, which are as large as the image, this stays in a core's cache.
_CHUNK_BYTES = 2**18


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def depthwise(x: Array, kernel: Array, strides: Pair, pads: Pads, dilation: Pair) -> Array:
    """Cross-correlation of each channel of [N, H, W, C] by its own kernel, [h, w, 1, C]."""
    # Fused with the sums, padding would be looked up nine times a pixel.
    x = lax.optimization_barrier(pad_images(x, pads))
    kernel_size, channels = kernel.shape[:2], kernel.shape[3]
    sizes = _sizes(x, kernel_size, strides, dilation)
    total = None
    for i in range(kernel_size[0]):
        for j in range(kernel_size[1]):
            tap = shifted(x, (i * dilation[0], j * dilation[1]), strides, sizes)
            term = tap * kernel[i, j].reshape(1, 1, 1, channels)
            total = term if total is None else total + term
    assert total is not None
    return total


def _forward(x, kernel, strides, pads, dilation):
    return depthwise(x, kernel, strides, pads, dilation), (x, kernel)


def _backward(strides, pads, dilation, saved, g):
    x, kernel = saved
    return _input_gradient(g, kernel, x.shape[1:3], strides, pads, dilation), _kernel_gradient(
        x, g, kernel.shape, strides, pads, dilation
    )


depthwise.defvjp(_forward, _backward)


def _sizes(x, kernel_size, strides, dilation) -> Pair:
    h, w = (
        (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[1:3], kernel_size, strides, dilation, strict=True)
    )
    return h, w


def _input_gradient(g, kernel, sizes, strides, pads, dilation):
    if strides != (1, 1):
        g = spread(g, strides)
    widths = []
    for n, m, k, d, (lo, _) in zip(sizes, g.shape[1:3], kernel.shape[:2], dilation, pads, strict=True):
        before = d * (k - 1) - lo
        widths.append((before, n + d * (k - 1) - m - before))
    return depthwise(g, jnp.flip(kernel, (0, 1)), (1, 1), tuple(widths), dilation)


def _kernel_gradient(x, g, shape, strides, pads, dilation):
    """Products summed over images and places, [h, w, 1, C]: first over images, a few at a time, then over places.

    A reduction to a number a channel is slow on XLA:CPU; adding images up is not. Sums are float32 at least.
    """
    exact = jnp.promote_types(g.dtype, jnp.float32)
    images, outs = x.shape[0], g.shape[1:3]
    chunk = images
    while chunk % 2 == 0 and chunk * (x.size + g.size) * x.dtype.itemsize > _CHUNK_BYTES * images:
        chunk //= 2
    x = lax.optimization_barrier(pad_images(x, pads))
    x, g = (a.reshape(chunk, -1, *a.shape[1:]) for a in (x, g))
    taps = [(i * dilation[0], j * dilation[1]) for i in range(shape[0]) for j in range(shape[1])]

    def add(index, sums):
        part, factor = (lax.dynamic_index_in_dim(a, index, 1, keepdims=False).astype(exact) for a in (x, g))
        return [total + shifted(part, tap, strides, outs) * factor for total, tap in zip(sums, taps, strict=True)]

    zeros = jnp.zeros((chunk, *outs, g.shape[-1]), exact)
    sums = lax.fori_loop(0, images // chunk, add, [zeros] * len(taps))
    return jnp.stack([total.sum((0, 1, 2)) for total in sums]).reshape(shape).astype(g.dtype)
