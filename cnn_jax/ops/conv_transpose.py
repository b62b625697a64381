"""Transposed convolution, defined as the adjoint of `conv`."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax
from jaxtyping import Float

from cnn_jax.errors import GeometryError
from cnn_jax.ops.conv import check_channels, check_ranks, dimension_numbers
from cnn_jax.ops.conv_gradients import input_gradient
from cnn_jax.ops.dispatch import prefers_plain
from cnn_jax.ops.fast_conv import fast_conv
from cnn_jax.ops.geometry import Padding, Pads, canonical_padding, per_dimension


def conv_transpose(
    x: Float[Array, "n *sizes c"],
    kernel: Float[Array, "*kernel_size features c_in"],
    *,
    strides: int | Sequence[int] = 1,
    padding: Padding,
    kernel_dilation: int | Sequence[int] = 1,
    feature_group_count: int = 1,
    output_size: Sequence[int] | None = None,
    output_padding: int | Sequence[int] = 0,
) -> Float[Array, "n *out features"]:
    """The adjoint of `conv` with the same kernel: <conv(u, k), x> = <u, conv_transpose(x, k)> for all u and x.

    This is the backward pass of a convolution in its input, which a decoder uses as a layer (Zeiler et al. 2010;
    Dumoulin and Visin 2016, chapter 4). The kernel is that of the convolution it transposes, [spatial..., features /
    groups, C], `features` being the channels of this output and C those of this input.

    Args:
        x: [N, spatial..., C].
        kernel: [spatial..., features / feature_group_count, C].
        strides: of the convolution transposed; the output is about that many times larger.
        padding: of the convolution transposed; it takes rows away here. "SAME" gives size * stride by default.
        kernel_dilation: of the convolution transposed.
        feature_group_count: of the convolution transposed.
        output_size: one number per dimension. With a stride several sizes lead to the same input, so this chooses.
        output_padding: the same choice as rows added after the smallest size, below the stride.

    Raises:
        GeometryError: shapes, channels or groups that do not fit, or an output size that `conv` would not bring back.
    """
    check_ranks(x, kernel)
    rank, features = kernel.ndim - 2, kernel.shape[-2] * feature_group_count
    check_channels(features, kernel.shape[-2], kernel.shape[-1], feature_group_count)
    if x.shape[-1] != kernel.shape[-1]:
        raise GeometryError(
            6,
            f"a transposed kernel from {kernel.shape[-1]} channels does not fit an image with {x.shape[-1]}: use a "
            f"kernel [spatial..., features / groups, {x.shape[-1]}]",
        )
    strides = per_dimension(strides, rank, "stride")
    dilation = per_dimension(kernel_dilation, rank, "dilation")
    extra = per_dimension(output_padding, rank, "output padding", least=0)
    sizes, kernel_size = x.shape[1:-1], kernel.shape[:-2]
    if padding == "SAME":
        target = tuple(n * s for n, s in zip(sizes, strides, strict=True)) if output_size is None else output_size
        pads = canonical_padding("SAME", kernel_size, strides, dilation, target)
        output_size = target
    else:
        pads = canonical_padding(padding, kernel_size, strides, dilation, sizes)
    least = tuple(
        (n - 1) * s + d * (k - 1) + 1 - lo - hi
        for n, s, k, d, (lo, hi) in zip(sizes, strides, kernel_size, dilation, pads, strict=True)
    )
    if output_size is None:
        output_size = tuple(size + more for size, more in zip(least, extra, strict=True))
    output_size = _check_output(tuple(output_size), least, strides)
    if prefers_plain():
        return _plain(x, kernel, output_size, strides, pads, dilation, feature_group_count)
    if rank == 2 and feature_group_count == 1:
        return input_gradient(
            x, kernel, (output_size[0], output_size[1]), (strides[0], strides[1]), pads, (dilation[0], dilation[1])
        )
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((0, 0, s - 1) for s in strides), (0, 0, 0)])
    widths = _widths(x.shape[1:-1], output_size, kernel_size, pads, dilation)
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((lo, hi, 0) for lo, hi in widths), (0, 0, 0)])
    flipped = _flip(kernel, feature_group_count)
    return fast_conv(x, flipped, (1,) * rank, ((0, 0),) * rank, dilation, feature_group_count)


def _check_output(output_size, least, strides) -> tuple[int, ...]:
    legal = len(output_size) == len(least) and min(output_size) >= 1
    if not legal or any(not 0 <= n - m < s for n, m, s in zip(output_size, least, strides, strict=True)):
        ranges = " by ".join(
            str(max(m, 1)) if s == 1 else f"{max(m, 1)} to {m + s - 1}" for m, s in zip(least, strides, strict=True)
        )
        raise GeometryError(
            10,
            f"a transposed convolution cannot have the output size {'x'.join(map(str, output_size))}: use {ranges}, "
            "or less padding",
        )
    return output_size


def _flip(kernel: Array, groups: int) -> Array:
    """[..., features / groups, C] to the flipped kernel [..., C / groups, features] of the equivalent convolution."""
    rank = kernel.ndim - 2
    kernel = jnp.flip(kernel, tuple(range(rank)))
    split = kernel.reshape(*kernel.shape[:-1], groups, -1)
    return jnp.moveaxis(split, -1, -3).swapaxes(-1, -2).reshape(*kernel.shape[:-2], kernel.shape[-1] // groups, -1)


def _widths(stretched, output_size, kernel_size, pads: Pads, dilation) -> Pads:
    before = [d * (k - 1) - lo for k, d, (lo, _) in zip(kernel_size, dilation, pads, strict=True)]
    return tuple(
        (b, n + d * (k - 1) - m - b)
        for b, n, k, d, m in zip(before, output_size, kernel_size, dilation, stretched, strict=True)
    )


def _plain(x, kernel, output_size, strides, pads, dilation, groups) -> Array:
    stretched = [(n - 1) * s + 1 for n, s in zip(x.shape[1:-1], strides, strict=True)]
    return lax.conv_general_dilated(
        x,
        _flip(kernel, groups),
        (1,) * len(strides),
        _widths(stretched, output_size, kernel.shape[:-2], pads, dilation),
        lhs_dilation=strides,
        rhs_dilation=dilation,
        dimension_numbers=dimension_numbers(len(strides)),
        feature_group_count=groups,
    )
