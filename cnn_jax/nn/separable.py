"""Depthwise separable convolution (Chollet 2017, section 1.2)."""

from __future__ import annotations

import flax.linen as nn
import jax

from cnn_jax.nn.activation import Activation
from cnn_jax.nn.conv import Conv, same_padding
from cnn_jax.nn.initializers import initializer


class SeparableConv(nn.Module):
    """A kernel per channel (`depthwise`), then a 1x1 convolution over channels (`pointwise`); no biases.

    Attributes:
        features: output channels.
        kernel_size: side of the depthwise kernel.
        strides: of the depthwise convolution.
        between: activation between the two; none in the paper, which finds that one hurts (figure 10).
        kernel_init_name: initialiser of the kernels.
    """

    features: int
    kernel_size: int = 3
    strides: int = 1
    between: str = "identity"
    kernel_init_name: str = "he"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[N, H, W, C] to [N, H / strides, W / strides, features]."""
        kernel_init = initializer(self.kernel_init_name)
        channels = x.shape[-1]
        x = Conv(
            channels,
            self.kernel_size,
            self.strides,
            padding=same_padding(self.kernel_size),
            feature_group_count=channels,
            use_bias=False,
            kernel_init=kernel_init,
            name="depthwise",
        )(x)
        x = x if self.between == "identity" else Activation(self.between, name=self.between)(x)
        return Conv(self.features, 1, padding=0, use_bias=False, kernel_init=kernel_init, name="pointwise")(x)
