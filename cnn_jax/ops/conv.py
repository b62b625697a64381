"""Convolutions in 1, 2 and 3 dimensions: cross-correlation, true convolution, transposed convolution.

Images are [N, spatial..., C], kernels [spatial..., C / groups, features]. On a CPU the work is done by
`cnn_jax.ops.fast_conv`, whose gradients stay fast inside loops; elsewhere, and under `plain_ops()`, by
`lax.conv_general_dilated` itself. The values and gradients are the same up to rounding.

Reverse-mode derivatives of any order and `jax.vmap` work everywhere. Forward mode (`jax.jvp`, `jax.jacfwd`,
`jax.hessian`) is not defined for the CPU form: trace under `plain_ops()` for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from cnn_jax.errors import GeometryError
from cnn_jax.ops.dispatch import prefers_plain
from cnn_jax.ops.fast_conv import fast_conv
from cnn_jax.ops.geometry import Padding, canonical_padding, per_dimension, window_output
from cnn_jax.ops.padding import check_padding_mode, pad
from cnn_jax.ops.product_conv import is_product, product_conv


def dimension_numbers(rank: int) -> tuple[str, str, str]:
    """Layouts of image, kernel and output for `lax`, e.g. ("NHWC", "HWIO", "NHWC") for rank 2."""
    spatial = "DHW"[3 - rank :]
    return f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"


def conv(
    x: Float[Array, "n *sizes c"],
    kernel: Float[Array, "*kernel_size c_in features"],
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding,
    kernel_dilation: int | Sequence[int] = 1,
    feature_group_count: int = 1,
    padding_mode: str = "zeros",
    strict: bool = False,
) -> Float[Array, "n *out features"]:
    """Cross-correlation, what deep learning calls convolution: the kernel is not flipped.

    y[n, i, f] = sum over t, c of kernel[t, c, f] x[n, i strides + t dilation - padding, c]

    LeCun et al. 1989 for shared weights in two dimensions; Goodfellow et al. 2016, Deep Learning, eq. 9.6.

    Args:
        x: images, [N, spatial..., C]; the rank is that of the kernel, 1 to 3 spatial dimensions.
        kernel: [spatial..., C / feature_group_count, features].
        strides: step of the window, one for all dimensions or one each.
        padding: "VALID", "SAME", a number, or numbers or (lo, hi) pairs per dimension; see `canonical_padding`.
        kernel_dilation: distance between neighbouring taps ("a trous"; Yu and Koltun 2016, eq. 2).
        feature_group_count: groups; C of them is a depthwise convolution, [spatial..., 1, C * multiplier].
        padding_mode: what the padding holds: zeros, wrap, edge, reflect or symmetric; see `cnn_jax.ops.padding`.
        strict: refuse geometry that leaves a remainder.

    Raises:
        GeometryError: shapes, channels, groups or geometry that do not fit; the message names what would.
    """
    rank = check_ranks(x, kernel)
    sizes, kernel_size = x.shape[1:-1], kernel.shape[:-2]
    strides = per_dimension(strides, rank, "stride")
    dilation = per_dimension(kernel_dilation, rank, "dilation")
    check_channels(x.shape[-1], kernel.shape[-2], kernel.shape[-1], feature_group_count)
    pads = canonical_padding(padding, kernel_size, strides, dilation, sizes)
    window_output(sizes, kernel_size, strides, pads, dilation, strict=strict)
    check_padding_mode(padding_mode, pads, sizes)
    if padding_mode != "zeros":
        x, pads = pad(x, pads, padding_mode), ((0, 0),) * rank
    if is_product() and feature_group_count == 1:
        return product_conv(x, kernel, strides, pads, dilation)
    if not prefers_plain():
        return fast_conv(x, kernel, strides, pads, dilation, feature_group_count)
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        pads,
        rhs_dilation=dilation,
        dimension_numbers=dimension_numbers(rank),
        feature_group_count=feature_group_count,
    )


def convolve(
    x: Float[Array, "n *sizes c"], kernel: Float[Array, "*kernel_size c_in features"], **options
) -> Float[Array, "n *out features"]:
    """True convolution: `conv` with the kernel flipped in every spatial dimension, as signal processing has it.

    Lectures 000 to 004; Goodfellow et al. 2016, Deep Learning, eq. 9.4.

    Options and errors as in `conv`. For an even kernel the padding decides which side is longer, as there.
    """
    return conv(x, jnp.flip(kernel, axis=tuple(range(kernel.ndim - 2))), **options)


def check_ranks(x: Array, kernel: Array) -> int:
    """The number of spatial dimensions that image and kernel share.

    Raises:
        GeometryError: they share none.
    """
    rank = kernel.ndim - 2
    if rank not in (1, 2, 3) or x.ndim != kernel.ndim:
        raise GeometryError(
            5,
            f"image of shape {x.shape} and kernel of shape {kernel.shape} do not go together: use [N, spatial..., C] "
            "and [spatial..., C / groups, features] with the same 1 to 3 spatial dimensions",
        )
    return rank


def check_channels(channels: int, kernel_channels: int, features: int, groups: int) -> None:
    """Refuses channels, features and groups that do not fit together.

    Raises:
        GeometryError: the message names the numbers that would fit.
    """
    if not isinstance(groups, int) or groups < 1:
        raise GeometryError(7, f"feature_group_count {groups!r} is not legal: use a whole number of at least 1")
    if channels % groups or features % groups:
        legal = [g for g in range(1, min(channels, features) + 1) if channels % g == 0 and features % g == 0]
        shown = ("one of " if len(legal) > 1 else "") + ", ".join(map(str, legal[:8]))
        shown += ", ..." if len(legal) > 8 else ""
        raise GeometryError(
            7,
            f"{groups} groups do not divide {channels} input channels and {features} features: use {shown}",
        )
    if channels != kernel_channels * groups:
        raise GeometryError(
            6,
            f"a kernel for {kernel_channels} channels per group and {groups} groups does not fit an image with "
            f"{channels} channels: use a kernel for {channels // groups} channels, or an image with "
            f"{kernel_channels * groups}",
        )
