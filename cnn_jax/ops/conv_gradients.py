"""A two-dimensional convolution whose gradients stay fast on a CPU inside loops.

XLA:CPU recognises a convolution as one it has fast code for only in the layout NHWC, HWIO to NHWC; the gradients JAX
derives are in other layouts, and inside `lax.scan`, `fori_loop` or `map` nothing rewrites them (jax issue 12868). The
gradients here are written as convolutions in that layout, and as matrix products.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jax import Array, lax

from cnn_jax.ops.dense_conv import Pair, dense_conv, is_dense
from cnn_jax.ops.geometry import Pads

_NHWC = ("NHWC", "HWIO", "NHWC")
# Of image and gradient together, what a core's caches hold; measured on two AVX-512 cores with
# batches of 128 images of 8 to 32 pixels.
_CHUNK_BYTES = 2**20
_CHUNK_BYTES_FEW_CHANNELS = 2**22
_FEW_CHANNELS = 16


@partial(jax.custom_vjp, nondiff_argnums=(2, 3, 4))
def conv2d(x: Array, kernel: Array, strides: Pair, pads: Pads, dilation: Pair) -> Array:
    """Cross-correlation of [N, H, W, C] by [h, w, C, F]; arguments canonical and checked."""
    if is_dense(x, kernel, strides, pads, dilation):
        return dense_conv(x, kernel, strides, pads, dilation)
    return lax.conv_general_dilated(x, kernel, strides, pads, rhs_dilation=dilation, dimension_numbers=_NHWC)


def _forward(x, kernel, strides, pads, dilation):
    return conv2d(x, kernel, strides, pads, dilation), (x, kernel)


def _backward(strides, pads, dilation, saved, g):
    x, kernel = saved
    dx = input_gradient(g, kernel, x.shape[1:3], strides, pads, dilation)
    return dx, kernel_gradient(x, g, kernel.shape, strides, pads, dilation)


conv2d.defvjp(_forward, _backward)


def pad_images(x: Array, pads: Pads) -> Array:
    """Zeros around the images; negative padding crops."""
    if not any(map(any, pads)):
        return x
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((lo, hi, 0) for lo, hi in pads), (0, 0, 0)])


def shifted(x: Array, start: Pair, strides: Pair, sizes: Pair) -> Array:
    """The pixels one tap of a window sees: every `strides`-th from `start`, `sizes` of them."""
    stop = [b + (n - 1) * s + 1 for b, n, s in zip(start, sizes, strides, strict=True)]
    return lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1))


def spread(g: Array, strides: Pair) -> Array:
    """Puts stride - 1 zeros between neighbouring pixels."""
    return lax.pad(g, jnp.zeros((), g.dtype), [(0, 0, 0), *((0, 0, s - 1) for s in strides), (0, 0, 0)])


def input_gradient(g: Array, kernel: Array, sizes: Pair, strides: Pair, pads: Pads, dilation: Pair) -> Array:
    """The adjoint of `conv2d` in x: from [N, h, w, F] back to [N, *sizes, C].

    Stride 1 is one convolution by the flipped kernel. Larger strides spread the gradient with zeros, most of the work
    then being multiplication by zero; instead one convolution computes all s x s phases of the result as channels, each
    with its own share of the taps, and they are interleaved (sub-pixel convolution, Shi et al. 2016, section 3.2).
    """
    if strides == (1, 1):
        return _flipped_conv(g, kernel, sizes, pads, dilation)
    if kernel.shape[:2] == (1, 1):
        # The product first: it commutes with spreading, and is then on fewer pixels.
        return _fit(spread(conv2d(g, kernel.transpose(0, 1, 3, 2), (1, 1), _NO_PADS, (1, 1)), strides), sizes, pads)
    if dilation != (1, 1):
        return _flipped_conv(spread(g, strides), kernel, sizes, pads, dilation)
    (a, b, c, f), (s, t) = kernel.shape, strides
    rows, columns = -(-a // s), -(-b // t)
    taps = lax.pad(
        kernel, jnp.zeros((), kernel.dtype), [(0, rows * s - a, 0), (0, columns * t - b, 0), *((0, 0, 0),) * 2]
    )
    taps = taps.reshape(rows, s, columns, t, c, f).transpose(0, 2, 5, 1, 3, 4).reshape(rows, columns, f, s * t * c)
    phases: Array = conv2d(
        g, jnp.flip(taps, (0, 1)), (1, 1), ((rows - 1, rows - 1), (columns - 1, columns - 1)), (1, 1)
    )
    n, h, w = phases.shape[:3]
    dx = phases.reshape(n, h, w, s, t, c).transpose(0, 1, 3, 2, 4, 5).reshape(n, h * s, w * t, c)
    return _fit(dx, sizes, pads)


_NO_PADS = ((0, 0), (0, 0))


def _flipped_conv(g, kernel, sizes, pads, dilation):
    widths = []
    for n, m, k, d, (lo, _) in zip(sizes, g.shape[1:3], kernel.shape[:2], dilation, pads, strict=True):
        before = d * (k - 1) - lo
        widths.append((before, n + d * (k - 1) - m - before))
    if min(map(min, widths)) < 0:
        g, widths = pad_images(g, tuple(widths)), _NO_PADS
    return conv2d(g, jnp.flip(kernel, (0, 1)).transpose(0, 1, 3, 2), (1, 1), tuple(widths), dilation)


def _fit(dx, sizes, pads):
    """Drops the padding before, and drops or adds rows after, to leave `sizes`; added rows no window reached."""
    return pad_images(dx, tuple((-lo, n + lo - m) for (lo, _), n, m in zip(pads, sizes, dx.shape[1:3], strict=True)))


def kernel_gradient(x: Array, g: Array, shape: tuple[int, ...], strides: Pair, pads: Pads, dilation: Pair) -> Array:
    """The adjoint of `conv2d` in the kernel: the product of x and g summed over images and places, [h, w, C, F].

    A whole batch at once runs at the speed of main memory, so the batch goes in chunks that stay in the cache; a kernel
    of 1x1 reads it once anyhow. Chunks are taken across the batch (images i, i + n, ...), so that a batch sharded over
    devices stays where it is.
    """
    if shape[:2] == (1, 1):
        return _chunk_gradient(x, g, shape, strides, pads, dilation)
    images, limit = x.shape[0], _CHUNK_BYTES if shape[2] > _FEW_CHANNELS else _CHUNK_BYTES_FEW_CHANNELS
    chunk = images
    while chunk % 2 == 0 and chunk * (x.size + g.size) * x.dtype.itemsize > limit * images:
        chunk //= 2
    if chunk == images:
        return _chunk_gradient(x, g, shape, strides, pads, dilation)
    x = x.reshape(chunk, -1, *x.shape[1:])
    g = g.reshape(chunk, -1, *g.shape[1:])

    def add(i, total):
        part = lax.dynamic_index_in_dim(x, i, 1, keepdims=False), lax.dynamic_index_in_dim(g, i, 1, keepdims=False)
        return total + _chunk_gradient(*part, shape, strides, pads, dilation).astype(exact)

    exact = jnp.promote_types(x.dtype, jnp.float32)
    return lax.fori_loop(0, images // chunk, add, jnp.zeros(shape, exact)).astype(x.dtype)


def _chunk_gradient(x, g, shape, strides, pads, dilation):
    if strides == (1, 1) and shape[:2] != (1, 1):
        return _exchanged_conv(x, g, shape, strides, pads, dilation)
    x, pixels = pad_images(x, pads), g.reshape(-1, g.shape[-1])
    taps = []
    for i in range(shape[0]):
        for j in range(shape[1]):
            tap = shifted(x, (i * dilation[0], j * dilation[1]), strides, g.shape[1:3])
            # A product of two matrices: written over three axes at once it is two to four times slower.
            taps.append(tap.reshape(-1, tap.shape[-1]).T @ pixels)
    return jnp.stack(taps).reshape(shape)


def _exchanged_conv(x, g, shape, strides, pads, dilation):
    """The image convolved by the output gradient, batch and channels exchanged: one convolution for all taps.

    With strides the gradient would be spread with zeros; there the taps are taken one by one.
    """
    x, g = x.transpose(3, 1, 2, 0), g.transpose(1, 2, 0, 3)
    y = lax.conv_general_dilated(x, g, dilation, pads, rhs_dilation=strides, dimension_numbers=_NHWC)
    return y[:, : shape[0], : shape[1]].transpose(1, 2, 0, 3)
