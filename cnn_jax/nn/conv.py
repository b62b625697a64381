"""Convolution and fully connected layers: the ops with parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops
from cnn_jax.errors import GeometryError
from cnn_jax.nn.initializers import Initializer, initializer
from cnn_jax.nn.located import located

PaddingModeName = Literal["zeros", "wrap", "edge", "reflect", "symmetric"]


def scale_features(features: int, width: float, groups: int = 1) -> int:
    """`features` times `width`, rounded to the nearest multiple of `groups` above zero."""
    return max(groups, round(features * width / groups) * groups)


def same_padding(kernel_size: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Padding that keeps the size at stride 1: (k - 1) // 2 before and k // 2 after, Torch's `k // 2` for odd k."""
    pair = ((kernel_size - 1) // 2, kernel_size // 2)
    return pair, pair


def _kernel(module: nn.Module, init: Initializer, shape: tuple[int, ...]) -> jax.Array:
    """The parameter `kernel`; one made for other images or classes is refused in words a user knows."""
    if module.has_variable("params", "kernel"):
        held = jnp.shape(module.get_variable("params", "kernel"))
        if held != shape:
            written = ["x".join(map(str, sizes)) for sizes in (held, shape)]
            raise GeometryError(
                23,
                f"holds a kernel of {written[0]} where this input needs one of {written[1]}: use the image size, "
                "channels, number of classes and keywords it was made with",
            )
    return module.param("kernel", init, shape, jnp.float32)


def _with_bias(module: nn.Module, y: jax.Array, bias_init: Initializer) -> jax.Array:
    bias = module.param("bias", bias_init, (y.shape[-1],), jnp.float32)
    return y + bias.astype(y.dtype).reshape((1,) * (y.ndim - 1) + (-1,))


class Conv(nn.Module):
    """Cross-correlation with a bias, NHWC by HWIO, 1-D to 3-D by the length of `kernel_size`.

    Attributes:
        features: output channels.
        kernel_size: one number (a square, two dimensions) or one per spatial dimension.
        strides: one number or one per dimension.
        padding: "VALID", "SAME", numbers or (lo, hi) pairs; always written.
        kernel_dilation: distance between neighbouring taps.
        feature_group_count: groups; the input's channels of them is a depthwise convolution.
        use_bias: add one number per feature.
        padding_mode: what the padding holds.
        kernel_init: initialiser of `kernel`, [*kernel_size, C / groups, features].
        bias_init: initialiser of `bias`, [features].
        dtype: of the arithmetic; that of the input if None. Parameters are float32.

    Raises:
        GeometryError: naming this layer, if the kernel does not fit, or was made for other channels.
    """

    features: int
    kernel_size: int | Sequence[int]
    strides: int | Sequence[int] = 1
    padding: Any = dataclasses.field(kw_only=True)
    kernel_dilation: int | Sequence[int] = 1
    feature_group_count: int = 1
    use_bias: bool = True
    padding_mode: str = "zeros"
    kernel_init: Initializer = initializer("he")
    bias_init: Initializer = initializer("zeros")
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, spatial..., C] to [N, spatial..., features]."""
        size = (self.kernel_size,) * 2 if isinstance(self.kernel_size, int) else tuple(self.kernel_size)
        x = x.astype(self.dtype or x.dtype)
        with located(self):
            if x.ndim != len(size) + 2 or x.shape[-1] % self.feature_group_count:
                raise GeometryError(
                    20,
                    f"an input of shape {x.shape} does not suit a {'x'.join(map(str, size))} kernel in "
                    f"{self.feature_group_count} groups: use a batch, {len(size)} spatial dimensions, and channels, "
                    f"a multiple of {self.feature_group_count}",
                )
            shape = (*size, x.shape[-1] // self.feature_group_count, self.features)
            y = ops.conv(
                x,
                _kernel(self, self.kernel_init, shape).astype(x.dtype),
                strides=self.strides,
                padding=self.padding,
                kernel_dilation=self.kernel_dilation,
                feature_group_count=self.feature_group_count,
                padding_mode=self.padding_mode,
            )
        return _with_bias(self, y, self.bias_init) if self.use_bias else y


class Dense(nn.Module):
    """A fully connected layer on the last axis.

    Attributes:
        features: output units.
        use_bias: add one number per unit.
        kernel_init: initialiser of `kernel`, [inputs, features].
        bias_init: initialiser of `bias`, [features].
        dtype: of the arithmetic; that of the input if None. Parameters are float32.

    Raises:
        GeometryError: naming this layer, if its kernel was made for another number of inputs.
    """

    features: int
    use_bias: bool = True
    kernel_init: Initializer = initializer("he")
    bias_init: Initializer = initializer("zeros")
    dtype: Any = None

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., inputs] to [..., features]."""
        x = x.astype(self.dtype or x.dtype)
        with located(self):
            kernel = _kernel(self, self.kernel_init, (x.shape[-1], self.features))
        y = jnp.dot(x, kernel.astype(x.dtype))
        return _with_bias(self, y, self.bias_init) if self.use_bias else y
