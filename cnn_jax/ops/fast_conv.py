"""Convolutions whose gradients stay fast on a CPU inside loops."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.geometry import Pads

_NHWC = ("NHWC", "HWIO", "NHWC")
_CHUNK_BYTES = 2**21  # of image and gradient together: what a core's caches hold
_FEW_CHANNELS = 4


def fast_conv(
    x: Array, kernel: Array, strides: tuple[int, ...], pads: Pads, dilation: tuple[int, ...], groups: int
) -> Array:
    """`conv` after its arguments are checked."""
    rank = kernel.ndim - 2
    if rank == 1:
        y = fast_conv(x[:, None], kernel[None], (1, *strides), ((0, 0), *pads), (1, *dilation), groups)
        return y[:, 0]
    if rank == 3:
        return _planes(x, kernel, strides, pads, dilation, groups)
    if groups == 1:
        return _conv2d(x, kernel, strides, pads, dilation)
    if groups == x.shape[-1]:
        return _depthwise(x, kernel, strides, pads, dilation)
    parts = zip(jnp.split(x, groups, axis=-1), jnp.split(kernel, groups, axis=-1), strict=True)
    return jnp.concatenate([_conv2d(part, weights, strides, pads, dilation) for part, weights in parts], axis=-1)


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def _conv2d(x, kernel, strides, pads, dilation):
    return lax.conv_general_dilated(x, kernel, strides, pads, rhs_dilation=dilation, dimension_numbers=_NHWC)


def _forward(x, kernel, strides, pads, dilation):
    return _conv2d(x, kernel, strides, pads, dilation), (x, kernel)


def _backward(strides, pads, dilation, saved, g):
    x, kernel = saved
    return _input_gradient(g, kernel, x.shape, strides, pads, dilation), _kernel_gradient(
        x, g, kernel.shape, strides, pads, dilation
    )


_conv2d.defvjp(_forward, _backward)


def _input_gradient(g, kernel, shape, strides, pads, dilation):
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, kernel.shape[:2], strict=True)]
    stretched = [(o - 1) * s + 1 for o, s in zip(g.shape[1:3], strides, strict=True)]
    widths = [(r - 1 - lo, n + lo - t) for r, n, t, (lo, _) in zip(reach, shape[1:3], stretched, pads, strict=True)]
    g = lax.pad(
        g,
        jnp.zeros((), g.dtype),
        [(0, 0, 0), *((lo, hi, s - 1) for (lo, hi), s in zip(widths, strides, strict=True)), (0, 0, 0)],
    )
    flipped = jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2)
    return lax.conv_general_dilated(g, flipped, (1, 1), "VALID", rhs_dilation=dilation, dimension_numbers=_NHWC)


def _kernel_gradient(x, g, shape, strides, pads, dilation):
    """Sum over images of (pixels a tap sees) x (output gradient), in chunks of the batch that stay in the cache.

    A whole batch at once runs at the speed of main memory. Chunks are taken across the batch (images i, i + n, ...), so
    that a batch sharded over devices stays where it is.
    """
    images = x.shape[0]
    per_image = (x.size + g.size) * x.dtype.itemsize // images
    chunk = images
    while chunk % 2 == 0 and chunk * per_image > _CHUNK_BYTES:
        chunk //= 2
    if chunk == images:
        return _chunk_gradient(x, g, shape, strides, pads, dilation)
    x = x.reshape(chunk, -1, *x.shape[1:])
    g = g.reshape(chunk, -1, *g.shape[1:])

    def add(i, total):
        part = lax.dynamic_index_in_dim(x, i, 1, keepdims=False), lax.dynamic_index_in_dim(g, i, 1, keepdims=False)
        return total + _chunk_gradient(*part, shape, strides, pads, dilation)

    return lax.fori_loop(0, images // chunk, add, jnp.zeros(shape, x.dtype))


def _chunk_gradient(x, g, shape, strides, pads, dilation):
    if shape[2] <= _FEW_CHANNELS:
        return _transposed_gradient(x, g, shape, strides, pads, dilation)
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((lo, hi, 0) for lo, hi in pads), (0, 0, 0)])
    rows = []
    for i in range(shape[0]):
        for j in range(shape[1]):
            tap = shifted(x, (i * dilation[0], j * dilation[1]), strides, g.shape[1:3])
            rows.append(lax.dot_general(g, tap, (((0, 1, 2), (0, 1, 2)), ((), ()))))
    return jnp.stack(rows).reshape(*shape[:2], shape[3], shape[2]).transpose(0, 1, 3, 2)


def _transposed_gradient(x, g, shape, strides, pads, dilation):
    """The convolution of the image by the output gradient, with batch and channels exchanged."""
    x, g = x.transpose(3, 1, 2, 0), g.transpose(1, 2, 0, 3)
    y = lax.conv_general_dilated(x, g, dilation, pads, rhs_dilation=strides, dimension_numbers=_NHWC)
    return y[:, : shape[0], : shape[1]].transpose(1, 2, 0, 3)


def shifted(x: Array, start: tuple[int, ...], strides: tuple[int, ...], sizes: tuple[int, ...]) -> Array:
    """The pixels one tap of a window sees: every `strides`-th from `start`, `sizes` of them."""
    stop = [b + (n - 1) * s + 1 for b, n, s in zip(start, sizes, strides, strict=True)]
    return lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1))


def _depthwise(x, kernel, strides, pads, dilation):
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((lo, hi, 0) for lo, hi in pads), (0, 0, 0)])
    sizes = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(x.shape[1:3], kernel.shape, strides, dilation, strict=False)
    ]
    channels = x.shape[-1]
    weights = kernel.reshape(*kernel.shape[:2], channels, -1)
    total = jnp.zeros((), x.dtype)
    for i in range(kernel.shape[0]):
        for j in range(kernel.shape[1]):
            tap = shifted(x, (i * dilation[0], j * dilation[1]), strides, tuple(sizes))
            total = total + tap[..., None] * weights[i, j].reshape(1, 1, 1, channels, -1)
    return total.reshape(*total.shape[:3], -1)


def _planes(x, kernel, strides, pads, dilation, groups):
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (*pads[0], 0), (0, 0, 0), (0, 0, 0), (0, 0, 0)])
    depth = (x.shape[1] - dilation[0] * (kernel.shape[0] - 1) - 1) // strides[0] + 1
    total = None
    for i, plane in enumerate(kernel):
        start = i * dilation[0]
        part = lax.slice_in_dim(x, start, start + (depth - 1) * strides[0] + 1, strides[0], axis=1)
        flat = part.reshape(-1, *part.shape[2:])
        y = fast_conv(flat, plane, strides[1:], pads[1:], dilation[1:], groups)
        total = y if total is None else total + y
    assert total is not None
    return total.reshape(x.shape[0], depth, *total.shape[1:])
