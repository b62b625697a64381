"""Xception: residual blocks of depthwise separable convolutions (figure 5), 22,855,952 parameters.

As the author's Keras model: the first two convolutions without padding (299, 149, 147), later ones and the pools with
Keras's SAME (which pads after the image first); batch norm with epsilon 0.001 after every convolution; block2 has no
first ReLU.

Deviations of `small`: 32x32 input; conv1 and conv2 padded, at stride 1; one entry block fewer and two middle blocks
for eight; features of a quarter of the paper's at the start and an eighth at the end; no dropout.
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
    "Xception: Deep Learning with Depthwise Separable Convolutions",
    "F. Chollet",
    2017,
    "CVPR 2017 (arXiv 1610.02357, 2016)",
)
VARIANTS = {
    "xception": {
        "paper": {},
        "small": {
            "num_classes": 10,
            "stem_features": (8, 16),
            "strides": 1,
            "padding": 1,
            "entry_features": (32, 96),
            "middle_blocks": 2,
            "exit_features": (96, 192, 192, 256),
            "dropout": 0.0,
        },
    }
}


class Xception(fnn.Module):
    """Keywords.

    `stem_features` of conv1 and conv2, `strides` of conv1, `padding` of both; `entry_features` of the blocks that
    halve the image; `middle_blocks` of three convolutions each; `exit_features` of block13 (two) and block14;
    `kernel_size` of the separable convolutions; `between`: activation between depthwise and pointwise (figure 10);
    `residual`: shortcuts (figure 9); `head` "gap" or "fc" (flattened); `pool_padding` and `epsilon` (of the norms): 1
    and 1e-5 in timm's network, whose pools pad even sizes on the other side.
    """

    num_classes: int = 1000
    stem_features: tuple[int, ...] = (32, 64)
    strides: int = 2
    padding: int = 0
    entry_features: tuple[int, ...] = (128, 256, 728)
    middle_blocks: int = 8
    exit_features: tuple[int, ...] = (728, 1024, 1536, 2048)
    width: float = 1.0
    kernel_size: int = 3
    between: nn.ActivationName = "identity"
    residual: bool = True
    pooling: nn.PoolName = "max"
    pool_window: int = 3
    pool_padding: int | Literal["SAME"] = "SAME"
    norm: nn.ConvNormName = "batch"
    epsilon: float = 1e-3
    activation: nn.ActivationName = "relu"
    head: Literal["gap", "fc"] = "gap"
    dropout: float = 0.5
    initializer: nn.InitializerName = "glorot"

    @fnn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """[N, H, W, C] to (logits [N, num_classes], taps)."""
        taps = {}
        if not self.entry_features or len(self.exit_features) < 2:
            raise ConfigError(39, "xception: give at least 1 of entry_features and 2 of exit_features")
        for i, features in enumerate(self.stem_features, 1):  #                   149x149x32, 147x147x64
            strides = self.strides if i == 1 else 1
            x = self._conv(x, features, 3, strides, self.padding, f"block1_conv{i}", train)
            x = self._act(x, f"block1_conv{i}")
        block = 2
        for features in self.entry_features:  #                                   74x74x128, 37x37x256, 19x19x728
            x = taps[f"block{block}"] = self._down(x, block, (features, features), train, first_act=block > 2)
            block += 1
        for _ in range(self.middle_blocks):  #                                    19x19x728
            y = x
            for i in range(1, 4):
                y = self._sepconv(self._act(y, f"block{block}_pre{i}"), self.entry_features[-1], block, i, train)
            x = x + y if self.residual else y
            block += 1
        taps["middle"] = x
        x = taps[f"block{block}"] = self._down(x, block, self.exit_features[:2], train)  # 10x10x1024
        block += 1
        for i, features in enumerate(self.exit_features[2:], 1):  #               10x10x1536, 10x10x2048
            x = self._act(self._sepconv(x, features, block, i, train), f"block{block}_sepconv{i}")
        taps[f"block{block}"] = x
        x = nn.GlobalAvgPool(name="gap")(x) if self.head == "gap" else x.reshape(x.shape[0], -1)
        taps["pre_logits"] = x  #                                                 2048
        x = nn.Dropout(self.dropout, name="dropout")(x, train=train)
        x = nn.Dense(self.num_classes, kernel_init=nn.classifier_initializer(self.initializer), name="predictions")(
            x
        )  # classes
        return x.astype(jnp.float32), taps

    def _down(self, x, block, features, train, *, first_act=True):
        y = x
        for i, f in enumerate(features, 1):
            y = self._act(y, f"block{block}_pre{i}") if i > 1 or first_act else y
            y = self._sepconv(y, f, block, i, train)
        y = nn.pool(y, self.pooling, self.pool_window, 2, padding=self.pool_padding, name=f"block{block}_pool")
        return y + self._conv(x, features[-1], 1, 2, 0, f"block{block}_shortcut", train) if self.residual else y

    def _conv(self, x, features, kernel_size, strides, padding, name, train):
        return nn.conv_norm_act(
            x,
            nn.scale_features(features, self.width),
            kernel_size,
            strides=strides,
            padding=padding,
            use_bias=self.norm == "none",
            norm=self.norm,
            activation="identity",
            initializer_name=self.initializer,
            epsilon=self.epsilon,
            name=name,
            train=train,
        )

    def _sepconv(self, x, features, block, i, train):
        x = nn.SeparableConv(
            nn.scale_features(features, self.width),
            self.kernel_size,
            between=self.between,
            kernel_init_name=self.initializer,
            name=f"block{block}_sepconv{i}",
        )(x)
        return nn.norm(x, self.norm, name=f"block{block}_sepconv{i}_bn", train=train, epsilon=self.epsilon)

    def _act(self, x, name):
        return nn.Activation(self.activation, name=f"{name}_{self.activation}")(x)
