"""A convolution of few channels, its image seen as fewer, deeper columns.

A CPU's vector units take channels side by side; three of them, those of an image, leave most lanes empty. Here `b`
neighbouring columns become channels, which costs nothing, the numbers lying in that order already: one convolution then
computes `b` columns of the output at once, each with its own shift of the kernel. Some products are by zero; there are
fewer than twice as many, and they run several times as fast.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from cnn_jax.ops.conv_gradients import conv2d, pad_images
from cnn_jax.ops.geometry import Pads

# Of a folded convolution. Measured on two AVX-512 cores with batches of 128 images of 14 to 32 pixels, both gradients
# included: 5x5 from 3 channels to 6 gains three times, 4 to 8 channels a fifth to a half; beyond, lanes are full.
_MOST_CHANNELS, _MOST_FEATURES = 16, 64
_MOST_WORK = 2.0


def columns_to_fold(x: Array, kernel: Array, strides: tuple[int, int], pads: Pads, dilation: tuple[int, int]) -> int:
    """How many columns of the image to see as channels; 1 where there is nothing to gain."""
    (_, w, channels, features), width = kernel.shape, _out_width(x, kernel, pads)
    if strides != (1, 1) or dilation != (1, 1):
        return 1
    for b in (4, 2):
        fits = b * channels <= _MOST_CHANNELS and b * features <= _MOST_FEATURES and width >= 2 * b
        if fits and _blocks(kernel, b) * b <= _MOST_WORK * w:
            return b
    return 1


def folded_conv(x: Array, kernel: Array, pads: Pads, b: int) -> Array:
    """Cross-correlation of [N, H, W, C] by [h, w, C, F] in steps of 1, `b` columns at once."""
    (n, height, _, c), (h, w, _, f) = x.shape, kernel.shape
    width, blocks = _out_width(x, kernel, pads), _blocks(kernel, b)
    columns = -(-width // b)
    # The columns that are seen, which may end before the padded image's or go beyond it.
    left, seen = pads[1][0], (columns + blocks - 1) * b
    x = pad_images(x, ((0, 0), (left, seen - left - x.shape[2])))
    # Column q of b starts q taps later: [h, blocks * b, C, b, F].
    shifts = [jnp.pad(kernel, ((0, 0), (q, blocks * b - w - q), (0, 0), (0, 0))) for q in range(b)]
    folded = jnp.stack(shifts, axis=3).reshape(h, blocks, b * c, b * f)
    y: Array = conv2d(x.reshape(n, height, -1, b * c), folded, (1, 1), (pads[0], (0, 0)), (1, 1))
    return y.reshape(n, y.shape[1], columns * b, f)[:, :, :width]


def _out_width(x, kernel, pads):
    return x.shape[2] + sum(pads[1]) - kernel.shape[1] + 1


def _blocks(kernel, b):
    """How many blocks of b columns the b shifted kernels reach over."""
    return -(-(b + kernel.shape[1] - 1) // b)
