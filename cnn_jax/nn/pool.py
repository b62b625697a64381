"""Pooling layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import flax.linen as nn
import jax

from cnn_jax import ops
from cnn_jax.errors import ConfigError
from cnn_jax.nn.located import located

PoolName = Literal["max", "avg"]


def _ceil(padding: Any, x: jax.Array, window_shape, strides) -> Any:
    """Padding for the ops, from theirs or "CEIL": Caffe's rounding up as explicit padding after the image."""
    if padding != "CEIL":
        return padding
    return ops.ceil_padding(x.shape[1:-1], window_shape, window_shape if strides is None else strides)


class MaxPool(nn.Module):
    """The maximum of each window.

    Attributes:
        window_shape: one number or one per spatial dimension.
        strides: the window if None; smaller ones overlap.
        padding: as in the ops, or "CEIL" for Caffe's rounding up.

    Raises:
        GeometryError: naming this layer, if the window does not fit.
    """

    window_shape: int | Sequence[int]
    strides: int | Sequence[int] | None = None
    padding: Any = "VALID"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C]."""
        with located(self):
            padding = _ceil(self.padding, x, self.window_shape, self.strides)
            return ops.max_pool(x, self.window_shape, strides=self.strides, padding=padding)


class AvgPool(nn.Module):
    """The mean of each window; attributes and errors as in `MaxPool`. Padding is not counted."""

    window_shape: int | Sequence[int]
    strides: int | Sequence[int] | None = None
    padding: Any = "VALID"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C]."""
        with located(self):
            padding = _ceil(self.padding, x, self.window_shape, self.strides)
            return ops.avg_pool(x, self.window_shape, strides=self.strides, padding=padding)


class GlobalAvgPool(nn.Module):
    """The mean over all positions: [N, H, W, C] to [N, C] (Lin et al. 2013, section 3.2)."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C] to [N, C]."""
        with located(self):
            return ops.global_avg_pool(x)


def pool(x: jax.Array, kind: str, window_shape: int, strides: int, *, padding: Any = "VALID", name: str) -> jax.Array:
    """Applies the pooling called `kind` as the submodule `name` of the module being traced.

    Raises:
        ConfigError: no such pooling; the message lists the legal names.
    """
    if kind not in get_args(PoolName):
        raise ConfigError(58, f"unknown pooling {kind!r}; legal: {', '.join(get_args(PoolName))}")
    layer = MaxPool if kind == "max" else AvgPool
    return layer(window_shape, strides, padding, name=name)(x)
