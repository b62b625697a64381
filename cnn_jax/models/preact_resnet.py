"""Residual networks with norm and activation before each convolution, so that the identity runs through (figure 1b).

CIFAR-10 forms. 110 and depths that are 6n+2 but not 9n+2 have basic blocks with zero padding; 164, 1001 and the other
depths 9n+2 bottlenecks with projections, which step in their first 1x1, as in the authors' resnet-1k-layers.
"""

from __future__ import annotations

from typing import Literal

import flax.linen as fnn
import jax
import jax.numpy as jnp

from cnn_jax import nn
from cnn_jax.errors import ConfigError
from cnn_jax.models.paper import Paper

PAPER = Paper(
    "Identity Mappings in Deep Residual Networks",
    "K. He, X. Zhang, S. Ren, J. Sun",
    2016,
    "ECCV 2016 (arXiv 1603.05027, 2016)",
)


def variant(family: str, name: str) -> dict:
    """Keywords of a network of any depth 9n+2 (bottlenecks) or else 6n+2.

    Raises:
        ConfigError: the depth is neither.
    """
    depth = int(name)
    if depth != 110 and depth >= 11 and (depth - 2) % 9 == 0:
        return {"depth": depth}
    if depth >= 8 and (depth - 2) % 6 == 0:
        return {"depth": depth, "bottleneck": False, "shortcut": "A"}
    raise ConfigError(48, f"{family}: depth {depth} must be 9n+2 (bottlenecks) or 6n+2")


VARIANTS = {"preact_cifar": {name: variant("preact_cifar", name) for name in ("110", "164", "1001")}}


class PreactResNet(fnn.Module):
    """Keywords: `depth` is 9n+2 with `bottleneck`, 6n+2 without; the others as in `resnet.ResNet`."""

    num_classes: int = 10
    depth: int = 164
    bottleneck: bool = True
    features: tuple[int, ...] = (16, 32, 64)
    width: float = 1.0
    kernel_size: int = 3
    strides: int = 2
    shortcut: nn.ShortcutName = "B"
    strides_in_1x1: bool = True
    norm: nn.ConvNormName = "batch"
    activation: nn.ActivationName = "relu"
    head: Literal["gap", "fc"] = "gap"
    dropout: float = 0.0
    initializer: nn.InitializerName = "he"

    @fnn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """[N, H, W, C] to (logits [N, num_classes], taps)."""
        layers = 9 if self.bottleneck else 6
        if self.depth < layers + 2 or (self.depth - 2) % layers:
            raise ConfigError(
                48, f"preact_cifar: depth={self.depth} must be {layers}n+2: {layers + 2}, {2 * layers + 2}, ..."
            )
        taps, kernel_init = {}, nn.initializer(self.initializer)
        stem = nn.scale_features(self.features[0], self.width)
        x = nn.Conv(stem, 3, padding=1, use_bias=False, kernel_init=kernel_init, name="conv1")(x)  # 32x32x16
        for stage, features in enumerate(self.features, 2):
            for block in range(1, (self.depth - 2) // layers + 1):
                x = nn.ResidualBlock(  #                                              32x32, 16x16, 8x8
                    nn.scale_features(features, self.width),
                    self.strides if block == 1 and stage > 2 else 1,
                    bottleneck=self.bottleneck,
                    kernel_size=self.kernel_size,
                    shortcut=self.shortcut,
                    strides_in_1x1=self.strides_in_1x1,
                    preactivation=True,
                    norm=self.norm,
                    activation=self.activation,
                    kernel_init_name=self.initializer,
                    name=f"conv{stage}_{block}",
                )(x, train=train)
            taps[f"conv{stage}_x"] = x
        x = nn.norm(x, self.norm, name="bn", train=train)
        x = nn.Activation(self.activation, name=self.activation)(x)
        x = nn.GlobalAvgPool(name="gap")(x) if self.head == "gap" else x.reshape(x.shape[0], -1)
        taps["pre_logits"] = x  #                                                     256 or 64
        x = nn.Dropout(self.dropout, name="dropout")(x, train=train)
        x = nn.Dense(self.num_classes, kernel_init=nn.classifier_initializer(self.initializer), name="fc")(
            x
        )  #      classes
        return x.astype(jnp.float32), taps
