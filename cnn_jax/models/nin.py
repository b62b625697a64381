"""Network in Network: after each convolution two of 1x1, a perceptron at every position; averaged maps for a head.

The paper states blocks, pools, dropout and the averaged head; the numbers of maps are those of the authors' own
definitions (mavenlin/cuda-convnet, NIN/cifar-10_def and mnist_def), and of their Caffe model for ImageNet. The last
maps, one per class, pass a ReLU as well. Pools round up, as cuda-convnet and Caffe do.

Deviations: `imagenet` starts from a Gaussian of 0.05 throughout, where the Caffe model has 0.01 in conv1, conv3 and the
last layer. With He's initialiser the last layer starts from 0.01, as classifiers do here.
"""

from __future__ import annotations

from typing import Literal

import flax.linen as fnn
import jax
import jax.numpy as jnp

from cnn_jax import nn
from cnn_jax.errors import ConfigError
from cnn_jax.models.paper import Paper

PAPER = Paper("Network In Network", "M. Lin, Q. Chen, S. Yan", 2013, "ICLR 2014 (arXiv 1312.4400, 2013)")
VARIANTS = {
    "nin": {
        "cifar10": {},
        "mnist": {"features": (96, 64, 48, 128, 96, 48, 128, 96), "kernel_size": (5, 5, 5)},
        "imagenet": {
            "num_classes": 1000,
            "features": (96, 96, 96, 256, 256, 256, 384, 384, 384, 1024, 1024),
            "kernel_size": (11, 5, 3, 3),
            "strides": 4,
            "padding": 0,
            "dropout_last": True,
        },
    }
}


class NIN(fnn.Module):
    """Keywords.

    `features`: for each block those of its convolution and of its two 1x1, without the very last, which is one per
    class; `kernel_size` of the convolutions, one per block; `strides` and `padding` of conv1; `dropout` after every
    pool or, with `dropout_last`, after the last one only; `head` "gap" or "fc" (section 4.6).
    """

    num_classes: int = 10
    features: tuple[int, ...] = (192, 160, 96, 192, 192, 192, 192, 192)
    width: float = 1.0
    kernel_size: tuple[int, ...] = (5, 5, 3)
    strides: int = 1
    padding: int | Literal["same"] = "same"
    pooling: nn.PoolName = "max"
    pool_window: int = 3
    pool_strides: int = 2
    norm: nn.ConvNormName = "none"
    activation: nn.ActivationName = "relu"
    head: Literal["gap", "fc"] = "gap"
    dropout: float = 0.5
    dropout_last: bool = False
    initializer: nn.InitializerName = "gaussian_0.05"

    @fnn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """[N, H, W, C] to (logits [N, num_classes], taps)."""
        taps, blocks = {}, len(self.kernel_size)
        if len(self.features) != 3 * blocks - 1:
            raise ConfigError(39, f"nin: {blocks} kernel_size need {3 * blocks - 1} features, not {len(self.features)}")
        features = [*(nn.scale_features(f, self.width) for f in self.features), self.num_classes]
        for i, size in enumerate(self.kernel_size, 1):
            first, second, third = features[3 * i - 3 : 3 * i]  #                    32x32    224x224
            x = self._conv(x, first, size, f"conv{i}", train, first=i == 1)  #       32x32x192, 16x16x192, 8x8x192
            x = self._conv(x, second, 1, f"cccp{2 * i - 1}", train)  #               32x32x160, 16x16x192, 8x8x192
            x = self._conv(x, third, 1, f"cccp{2 * i}", train, last=i == blocks)  #  32x32x96, 16x16x192, 8x8x10
            taps[f"cccp{2 * i}"] = x
            if i < blocks:  #                                                        16x16x96, 8x8x192
                x = nn.pool(x, self.pooling, self.pool_window, self.pool_strides, padding="CEIL", name=f"pool{i}")
                taps[f"pool{i}"] = x
                rate = self.dropout if i == blocks - 1 or not self.dropout_last else 0.0
                x = nn.Dropout(rate, name=f"drop{i}")(x, train=train)
        if self.head == "gap":
            x = nn.GlobalAvgPool(name="gap")(x)  #                                   10
        else:
            kernel_init = nn.classifier_initializer(self.initializer)
            x = nn.Dense(self.num_classes, kernel_init=kernel_init, name="fc")(x.reshape(x.shape[0], -1))
        return x.astype(jnp.float32), taps

    def _conv(self, x, features, kernel_size, name, train, *, first=False, last=False):
        return nn.conv_norm_act(
            x,
            features,
            kernel_size,
            strides=self.strides if first else 1,
            padding=self.padding if first and self.padding != "same" else nn.same_padding(kernel_size),
            use_bias=self.norm == "none",
            norm=self.norm,
            activation=self.activation,
            # Large first logits push the biases of all maps down until their ReLU is silent everywhere.
            initializer_name=nn.classifier_name(self.initializer) if last else self.initializer,
            name=name,
            train=train,
        )
