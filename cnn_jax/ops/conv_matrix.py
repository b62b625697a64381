"""Convolution as an explicit matrix: y = C x, and backward C^T (Dumoulin and Visin 2016, section 4.1)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from cnn_jax.errors import GeometryError
from cnn_jax.ops.geometry import Padding, canonical_padding, per_dimension, window_output


def conv_matrix(
    kernel: Float[np.ndarray, "*kernel_size c features"],
    input_size: Sequence[int],
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding,
    kernel_dilation: int | Sequence[int] = 1,
) -> Float[np.ndarray, "outputs inputs"]:
    """The matrix C of a cross-correlation: `conv(x[None], kernel).ravel() == C @ x.ravel()`.

    A teaching tool: the matrix is dense, (out... * features) x (sizes... * C), and refused beyond 10^8 entries. Rows
    and columns run in the order of the flattened arrays. A 3x3 kernel on a 4x4 image gives the paper's 4 x 16 matrix.

    Args:
        kernel: [spatial..., C, features].
        input_size: spatial size of the image, without channels.
        strides: as in `conv`.
        padding: as in `conv`.
        kernel_dilation: as in `conv`.

    Raises:
        GeometryError: geometry that does not fit, or a matrix too large to write down.
    """
    kernel = np.asarray(kernel)
    sizes, (channels, features), kernel_size = tuple(input_size), kernel.shape[-2:], kernel.shape[:-2]
    rank = len(sizes)
    if kernel.ndim != rank + 2:
        raise GeometryError(
            5, f"kernel of shape {kernel.shape} does not fit an image of size {sizes}: use [spatial..., C, features]"
        )
    strides = per_dimension(strides, rank, "stride")
    dilation = per_dimension(kernel_dilation, rank, "dilation")
    pads = canonical_padding(padding, kernel_size, strides, dilation, sizes)
    out = window_output(sizes, kernel_size, strides, pads, dilation)
    entries = int(np.prod(out)) * features * int(np.prod(sizes)) * channels
    if entries > 10**8:
        raise GeometryError(
            12,
            f"the matrix of this convolution has {entries:,} entries: use a smaller image, at most 100,000,000 entries",
        )
    matrix = np.zeros((*out, features, *sizes, channels), kernel.dtype)
    for place in itertools.product(*map(range, out)):
        for tap in itertools.product(*map(range, kernel_size)):
            pixel = tuple(
                p * s + t * d - lo for p, s, t, d, (lo, _) in zip(place, strides, tap, dilation, pads, strict=True)
            )
            if all(0 <= i < n for i, n in zip(pixel, sizes, strict=True)):
                matrix[(*place, slice(None), *pixel)] += kernel[tap].T
    return matrix.reshape(int(np.prod(out)) * features, -1)
