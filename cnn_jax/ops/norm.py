"""Normalisation: batch, layer, instance, group, local response, local contrast. Channels are the last axis."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from cnn_jax.errors import ConfigError
from cnn_jax.ops.conv import conv


def moments(
    x: Float[Array, "*shape"], axes: Sequence[int], *, axis_name: str | None = None
) -> tuple[Float[Array, "*kept"], Float[Array, "*kept"]]:
    """Mean and (biased) variance over `axes` in float32, whatever the dtype of `x`.

    The sums of batch normalisation (Ioffe and Szegedy 2015, algorithm 1). One pass: the mean and the mean of squares
    are reduced together, which reads `x` once.

    Args:
        x: values.
        axes: axes to reduce; they are kept with size 1.
        axis_name: a mapped axis (`pmap`, `shard_map`) to average over as well.
    """
    x = x.astype(jnp.float32)
    mean = x.mean(axes, keepdims=True)
    square = (x * x).mean(axes, keepdims=True)
    if axis_name is not None:
        mean, square = lax.pmean((mean, square), axis_name)
    # Rounding can push the difference a little below zero.
    return mean, jnp.maximum(square - mean * mean, 0.0)


def _per_channel(values: jax.Array, ndim: int) -> jax.Array:
    return values.astype(jnp.float32).reshape((1,) * (ndim - 1) + (-1,))


def _affine(x, mean, variance, scale, bias, epsilon):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias as one multiply-add in float32, in the dtype of x."""
    factor = lax.rsqrt(variance + epsilon)
    if scale is not None:
        factor = factor * _per_channel(scale, x.ndim)
    shift = -mean * factor
    if bias is not None:
        shift = shift + _per_channel(bias, x.ndim)
    return (x.astype(jnp.float32) * factor + shift).astype(x.dtype)


def batch_norm(
    x: Float[Array, "n *sizes c"],
    mean: Float[Array, " c"],
    variance: Float[Array, " c"],
    scale: Float[Array, " c"] | None = None,
    bias: Float[Array, " c"] | None = None,
    *,
    epsilon: float = 1e-5,
) -> Float[Array, "n *sizes c"]:
    """Normalises every channel with the statistics given (Ioffe and Szegedy 2015, algorithm 1).

    Args:
        x: [N, ..., C].
        mean: [C], of the batch while training, the running one otherwise.
        variance: [C].
        scale: gamma, [C]; 1 if None.
        bias: beta, [C]; 0 if None.
        epsilon: added to the variance.

    Returns:
        [N, ..., C] in the dtype of `x`; the arithmetic is float32.
    """
    return _affine(x, _per_channel(mean, x.ndim), _per_channel(variance, x.ndim), scale, bias, epsilon)


def layer_norm(
    x: Float[Array, "n *sizes c"],
    scale: Float[Array, " c"] | None = None,
    bias: Float[Array, " c"] | None = None,
    *,
    epsilon: float = 1e-5,
) -> Float[Array, "n *sizes c"]:
    """Normalises every example over all its positions and channels (Ba et al. 2016); `scale`, `bias` are [C]."""
    return _affine(x, *moments(x, range(1, x.ndim)), scale, bias, epsilon)


def instance_norm(
    x: Float[Array, "n *sizes c"],
    scale: Float[Array, " c"] | None = None,
    bias: Float[Array, " c"] | None = None,
    *,
    epsilon: float = 1e-5,
) -> Float[Array, "n *sizes c"]:
    """Normalises every channel of every example over its positions (Ulyanov et al. 2016); `scale`, `bias` are [C]."""
    return _affine(x, *moments(x, range(1, x.ndim - 1)), scale, bias, epsilon)


def group_norm(
    x: Float[Array, "n *sizes c"],
    num_groups: int,
    scale: Float[Array, " c"] | None = None,
    bias: Float[Array, " c"] | None = None,
    *,
    epsilon: float = 1e-5,
) -> Float[Array, "n *sizes c"]:
    """Normalises groups of neighbouring channels of every example (Wu and He 2018).

    Args:
        x: [N, ..., C].
        num_groups: divides C; 1 is layer norm, C is instance norm.
        scale: [C]; 1 if None.
        bias: [C]; 0 if None.
        epsilon: added to the variance.

    Raises:
        ConfigError: `num_groups` does not divide C.
    """
    channels = x.shape[-1]
    if num_groups < 1 or channels % num_groups:
        raise ConfigError(53, f"group norm of {num_groups} groups needs a multiple of that, got {channels} channels")
    size = channels // num_groups
    grouped = x.reshape(*x.shape[:-1], num_groups, size)
    mean, variance = moments(grouped, (*range(1, x.ndim - 1), x.ndim))
    mean, variance = (
        jnp.broadcast_to(value, (*value.shape[:-1], size)).reshape(*value.shape[:-2], channels)
        for value in (mean, variance)
    )
    return _affine(x, mean, variance, scale, bias, epsilon)


def local_response_norm(
    x: Float[Array, "*batch c"],
    *,
    size: int = 5,
    alpha: float = 1e-4,
    beta: float = 0.75,
    k: float = 2.0,
    divide_by_n: bool = False,
) -> Float[Array, "*batch c"]:
    """x_i / (k + alpha * sum of x_j^2 over the `size` channels around i) ** beta (AlexNet section 3.3).

    The sum is cut at the first and the last channel. The paper's alpha multiplies the sum, Caffe's and PyTorch's the
    mean (`divide_by_n=True`), and their default k is 1.

    Args:
        x: [..., C].
        size: n, the number of neighbouring channels; odd.
        alpha: weight of the sum of squares.
        beta: exponent.
        k: constant term.
        divide_by_n: divide alpha by `size`, as Caffe does.

    Raises:
        ConfigError: `size` is not a positive odd number.
    """
    if size < 1 or size % 2 == 0:
        raise ConfigError(54, f"local response norm needs an odd number of neighbouring channels, got {size}")
    weight = alpha / size if divide_by_n else alpha
    return jnp.asarray(_response_norm(x.astype(jnp.float32), size, weight, beta, k), x.dtype)


def _channel_window(x: jax.Array, size: int) -> jax.Array:
    """The sum over `size` neighbouring channels, cut at both ends."""
    half, channels = size // 2, x.shape[-1]
    padded = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(half, half)])
    # Slices add up in one fused loop; a windowed reduction over the fastest axis does not vectorise on a CPU.
    return functools.reduce(
        lambda a, b: a + b, (lax.slice_in_dim(padded, i, i + channels, axis=x.ndim - 1) for i in range(size))
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3, 4))
def _response_norm(x, size, alpha, beta, k):
    return _response_norm_forward(x, size, alpha, beta, k)[0]


def _response_norm_forward(x, size, alpha, beta, k):
    base = k + alpha * _channel_window(x * x, size)
    return x * jnp.exp(-beta * jnp.log(base)), (x, base)


def _response_norm_backward(size, alpha, beta, k, saved, gradient):
    # In closed form: the derivative of the padded slices is a sum of paddings, fifty times slower on a CPU.
    del k
    x, base = saved
    power = gradient * jnp.exp(-beta * jnp.log(base))
    return (power - 2 * alpha * beta * x * _channel_window(power * x / base, size),)


_response_norm.defvjp(_response_norm_forward, _response_norm_backward)


def contrast_norm(x: Float[Array, "n h w c"], *, size: int = 9, epsilon: float = 1e-4) -> Float[Array, "n h w c"]:
    """Local contrast normalisation: subtractive, then divisive (Jarrett et al. 2009, section 2).

    The local mean and deviation are taken over all channels in a Gaussian window, whose weights are normalised
    over the part of it that lies inside the image. The divisor is never below the image's mean deviation.

    Args:
        x: [N, H, W, C].
        size: side of the window in pixels; odd. Its standard deviation is size / 4.
        epsilon: the least divisor, which keeps a constant image at zero.

    Raises:
        ConfigError: `size` is not a positive odd number.
    """
    if size < 1 or size % 2 == 0:
        raise ConfigError(55, f"contrast norm needs a window of odd size, got {size}")
    position = jnp.arange(size, dtype=jnp.float32) - size // 2
    bell = jnp.exp(-0.5 * lax.square(position / (size / 4)))
    window = (bell[:, None] * bell[None, :])[:, :, None, None]

    def blur(image):
        return conv(image, window, padding=size // 2)

    y = x.astype(jnp.float32)
    inside = blur(jnp.ones((1, *x.shape[1:3], 1), jnp.float32))
    y = y - blur(y.mean(-1, keepdims=True)) / inside
    # The least value under the root keeps its gradient finite where the image is constant.
    deviation = jnp.sqrt(jnp.maximum(blur(lax.square(y).mean(-1, keepdims=True)) / inside, epsilon * epsilon))
    return (y / jnp.maximum(deviation, deviation.mean((1, 2), keepdims=True))).astype(x.dtype)
