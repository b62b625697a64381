"""Residual blocks: basic and bottleneck, after activation (He et al. 2015) and before it (He et al. 2016)."""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from cnn_jax.nn.activation import Activation
from cnn_jax.nn.block import conv_norm_act
from cnn_jax.nn.conv import Conv, same_padding
from cnn_jax.nn.initializers import initializer
from cnn_jax.nn.norm import norm as apply_norm

ShortcutName = Literal["A", "B", "C", "none"]


def subsample(x: jax.Array, strides: int, features: int) -> jax.Array:
    """Shortcut without parameters: every `strides`-th pixel, and zeros for the channels that are missing."""
    x = lax.slice(x, (0,) * 4, x.shape, (1, strides, strides, 1))
    return jnp.pad(x, [(0, 0)] * 3 + [(0, features - x.shape[-1])])


def projects(shortcut: str, x: jax.Array, strides: int, features: int) -> bool:
    """Whether the shortcut is a 1x1 convolution: B where the shape changes, C everywhere (section 4.1)."""
    return shortcut == "C" or (shortcut == "B" and (strides != 1 or x.shape[-1] != features))


class ResidualBlock(nn.Module):
    """Convolutions with a shortcut around them (He et al. 2015, figures 2 and 5; He et al. 2016, figure 4).

    Attributes:
        features: channels inside; the output has `4 * features` with a bottleneck.
        strides: of the block.
        bottleneck: 1x1, kxk, 1x1 in place of kxk, kxk.
        kernel_size: k.
        shortcut: "A" pads with zeros, "B" projects where the shape changes, "C" always projects, "none": a plain net.
        strides_in_1x1: a bottleneck's stride in its first 1x1 (the paper's) or in its kxk (Torch's).
        preactivation: norm and activation before each convolution.
        norm: a norm's name.
        activation: an activation's name.
        kernel_init_name: initialiser of the kernels.
    """

    features: int
    strides: int = 1
    bottleneck: bool = False
    kernel_size: int = 3
    shortcut: str = "B"
    strides_in_1x1: bool = False
    preactivation: bool = False
    norm: str = "batch"
    activation: str = "relu"
    kernel_init_name: str = "he"

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[N, H, W, C] to [N, H / strides, W / strides, features or 4 features]."""
        k, s, f = self.kernel_size, self.strides, self.features
        if not self.bottleneck:
            rows = [(f, k, s), (f, k, 1)]
        elif self.strides_in_1x1:
            rows = [(f, 1, s), (f, k, 1), (4 * f, 1, 1)]
        else:
            rows = [(f, 1, 1), (f, k, s), (4 * f, 1, 1)]
        out = rows[-1][0]
        body = self._preactivated if self.preactivation else self._postactivated
        return body(x, rows, out, train)

    def _postactivated(self, x, rows, out, train):
        y = x
        for i, (features, k, s) in enumerate(rows, 1):
            last = i == len(rows)
            y = self._conv(y, features, k, s, f"conv{i}", "identity" if last else self.activation, train)
        if self.shortcut != "none":
            y = y + self._shortcut(x, out, train)
        return Activation(self.activation, name=self.activation)(y)

    def _preactivated(self, x, rows, out, train):
        y, around = x, x
        for i, (features, k, s) in enumerate(rows, 1):
            y = apply_norm(y, self.norm, name=f"bn{i}", train=train)
            y = Activation(self.activation, name=f"{self.activation}{i}")(y)
            if i == 1 and projects(self.shortcut, x, self.strides, out):
                around = y  # a projection shares the first activation (resnet-1k-layers); an identity runs through
            y = self._plain_conv(y, features, k, s, f"conv{i}")
        return y if self.shortcut == "none" else y + self._shortcut(around, out, train)

    def _plain_conv(self, x, features, kernel_size, strides, name):
        return Conv(
            features,
            kernel_size,
            strides,
            padding=same_padding(kernel_size),
            use_bias=self.norm == "none",
            kernel_init=initializer(self.kernel_init_name),
            name=name,
        )(x)

    def _conv(self, x, features, kernel_size, strides, name, activation, train):
        return conv_norm_act(
            x,
            features,
            kernel_size,
            strides=strides,
            padding=same_padding(kernel_size),
            use_bias=self.norm == "none",
            norm=self.norm,
            activation=activation,
            initializer_name=self.kernel_init_name,
            name=name,
            train=train,
        )

    def _shortcut(self, x, out, train):
        if projects(self.shortcut, x, self.strides, out):
            if self.preactivation:
                return self._plain_conv(x, out, 1, self.strides, "shortcut")
            return self._conv(x, out, 1, self.strides, "shortcut", "identity", train)
        if self.strides != 1 or x.shape[-1] != out:
            return subsample(x, self.strides, out)
        return x
