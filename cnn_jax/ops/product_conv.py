"""Convolution as a product of a matrix of patches by the kernel (Chellapilla et al. 2006), for many networks at once.

Under `jax.vmap` over networks a convolution becomes one of as many groups, whose gradients are slow on a CPU and on a
GPU (jax issue 26568); a matrix product becomes a batch of matrix products.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.geometry import Pads

_products: ContextVar[bool] = ContextVar("conv_as_products", default=False)


def is_product() -> bool:
    """Whether convolutions are to be products; asked while tracing."""
    return _products.get()


@contextmanager
def product_convs() -> Iterator[None]:
    """Within this context every convolution without groups traces to a matrix product."""
    token = _products.set(True)
    try:
        yield
    finally:
        _products.reset(token)


def product_conv(x: Array, kernel: Array, strides: tuple[int, ...], pads: Pads, dilation: tuple[int, ...]) -> Array:
    """`conv` without groups, of 1 to 3 spatial dimensions, after its arguments are checked.

    The patches ("im2col") take as many times the memory of the images as the kernel has taps.
    """
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((lo, hi, 0) for lo, hi in pads), (0, 0, 0)])
    kernel_size = kernel.shape[:-2]
    sizes = [
        (n - d * (k - 1) - 1) // s + 1 for n, k, s, d in zip(x.shape[1:-1], kernel_size, strides, dilation, strict=True)
    ]
    taps = []
    for tap in itertools.product(*map(range, kernel_size)):
        start = [t * d for t, d in zip(tap, dilation, strict=True)]
        stop = [b + (m - 1) * s + 1 for b, m, s in zip(start, sizes, strides, strict=True)]
        taps.append(lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1)))
    patches = taps[0] if len(taps) == 1 else jnp.concatenate(taps, axis=-1)
    return patches @ kernel.reshape(-1, kernel.shape[-1])
