"""Convolutions in the forms a CPU runs fast: planes, groups and depthwise reduced to two dimensions."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.conv_gradients import conv2d
from cnn_jax.ops.depthwise import depthwise
from cnn_jax.ops.folded_conv import columns_to_fold, folded_conv
from cnn_jax.ops.geometry import Pads


def fast_conv(
    x: Array, kernel: Array, strides: tuple[int, ...], pads: Pads, dilation: tuple[int, ...], groups: int
) -> Array:
    """`conv` of 1 to 3 spatial dimensions, after its arguments are checked."""
    if kernel.ndim == 3:
        y = fast_conv(x[:, None], kernel[None], (1, *strides), ((0, 0), *pads), (1, *dilation), groups)
        return y[:, 0]
    if kernel.ndim == 5:
        return _planes(x, kernel, strides, pads, dilation, groups)
    height, width = strides
    geometry = (height, width), pads, (dilation[0], dilation[1])
    if groups == 1:
        b = columns_to_fold(x, kernel, *geometry)
        return folded_conv(x, kernel, pads, b) if b > 1 else conv2d(x, kernel, *geometry)
    if groups == x.shape[-1]:
        multiplier = kernel.shape[-1] // groups
        return depthwise(jnp.repeat(x, multiplier, axis=-1) if multiplier > 1 else x, kernel, *geometry)
    parts = zip(jnp.split(x, groups, axis=-1), jnp.split(kernel, groups, axis=-1), strict=True)
    return jnp.concatenate([conv2d(part, weights, *geometry) for part, weights in parts], axis=-1)


def _planes(x, kernel, strides, pads, dilation, groups):
    """A 3-D convolution as the sum of 2-D ones, one per plane of the kernel, depth counted as batch."""
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), (*pads[0], 0), *((0, 0, 0),) * 3])
    depth = (x.shape[1] - dilation[0] * (kernel.shape[0] - 1) - 1) // strides[0] + 1
    total = jnp.zeros((), x.dtype)
    for i in range(kernel.shape[0]):
        start = i * dilation[0]
        planes = lax.slice_in_dim(x, start, start + (depth - 1) * strides[0] + 1, strides[0], axis=1)
        flat = planes.reshape(-1, *planes.shape[2:])
        total = total + fast_conv(flat, kernel[i], strides[1:], pads[1:], dilation[1:], groups)
    return total.reshape(x.shape[0], depth, *total.shape[1:])
