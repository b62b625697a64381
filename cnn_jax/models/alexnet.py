"""AlexNet: five convolutions, three fully connected layers, ReLU, local response norm, overlapping pooling, dropout.

`paper` takes 227x227 (the text's 224 does not divide: 11x11 at stride 4 gives 54.25), computes conv2, conv4 and conv5
in two groups, one per GPU, and normalises after ReLU and before pooling. `slides` is the ungrouped network of the
lectures with conv, pool, norm, as CaffeNet orders them. `torchvision` is the single tower of Krizhevsky 2014 as PyTorch
has it: 224x224, 64 to 384 features, no norm, dropout before the hidden layers.

Deviations of `small`: conv1 5x5 at stride 2 for 32x32 input (the paper's window and stride, halved), half the features,
pools rounded up (16, 8, 4, 2), hidden layers of 512, no dropout, He's initialiser with zero biases.
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
    "ImageNet Classification with Deep Convolutional Neural Networks",
    "A. Krizhevsky, I. Sutskever, G. E. Hinton",
    2012,
    "NIPS 25",
)
VARIANTS = {
    "alexnet": {
        "paper": {},
        "slides": {"feature_group_count": 1, "norm_after_pool": True},
        "torchvision": {
            "features": (64, 192, 384, 256, 256),
            "padding": 2,
            "feature_group_count": 1,
            "norm": "none",
            "dropout_first": True,
        },
        "small": {
            "num_classes": 10,
            "features": (48, 128, 192, 192, 128),
            "kernel_size": 5,
            "strides": 2,
            "padding": 2,
            "pool_padding": "CEIL",
            "head_features": (512, 512),
            "dropout": 0.0,
            "initializer": "he",
            "unit_biases": False,
        },
    }
}


class AlexNet(fnn.Module):
    """Keywords.

    `features` of the convolutions (any number from two; pooling follows conv1, conv2 and the last); `kernel_size`,
    `strides`, `padding` of conv1 and, with `_2`, of conv2, the rest being 3x3; `feature_group_count` of conv2 and of
    conv4 onwards; `norm` ("lrn" and "contrast" after conv1 and conv2, others after every convolution); `lrn`: its n,
    alpha, beta and k; `head` "fc" or "gap".
    """

    num_classes: int = 1000
    features: tuple[int, ...] = (96, 256, 384, 384, 256)
    width: float = 1.0
    kernel_size: int = 11
    strides: int = 4
    padding: int = 0
    padding_mode: nn.PaddingModeName = "zeros"
    kernel_size_2: int = 5
    strides_2: int = 1
    padding_2: int = 2
    feature_group_count: int = 2
    pooling: nn.PoolName = "max"
    pool_window: int = 3
    pool_strides: int = 2
    pool_padding: Literal["VALID", "CEIL"] = "VALID"
    norm: nn.NormName = "lrn"
    lrn: nn.LRNConstants = nn.LRN
    norm_after_pool: bool = False
    activation: nn.ActivationName = "relu"
    head: Literal["fc", "gap"] = "fc"
    head_features: tuple[int, ...] = (4096, 4096)
    dropout: float = 0.5
    dropout_first: bool = False
    initializer: nn.InitializerName = "gaussian"
    unit_biases: bool = True  # biases start at 1 in the grouped convolutions and the hidden layers (section 5)

    @fnn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """[N, H, W, C] to (logits [N, num_classes], taps)."""
        taps = {}
        if len(self.features) < 2:
            raise ConfigError(39, f"alexnet: {len(self.features)} features for conv1, conv2, ...: give at least 2")
        x = self._conv(x, 1, self.kernel_size, self.strides, self.padding, train)  #        227 -> 55x55x96
        x = taps["pool1"] = self._norm_pool(x, 1)  #                                        27x27x96
        x = self._conv(x, 2, self.kernel_size_2, self.strides_2, self.padding_2, train)  #  27x27x256
        x = taps["pool2"] = self._norm_pool(x, 2)  #                                        13x13x256
        for i in range(3, len(self.features) + 1):
            x = taps[f"conv{i}"] = self._conv(x, i, 3, 1, 1, train)  #                      13x13x384, 384, 256
        if len(self.features) > 2:
            x = taps[f"pool{len(self.features)}"] = self._pool(x, len(self.features))  #    6x6x256
        gap = self.head == "gap"
        logits, fc_taps = nn.fc_head(  #                                                    4096, 4096, classes
            nn.GlobalAvgPool(name="gap")(x) if gap else x,
            () if gap else [nn.scale_features(units, self.width) for units in self.head_features],
            self.num_classes,
            activation=self.activation,
            dropout=self.dropout,
            dropout_first=self.dropout_first,
            initializer_name=self.initializer,
            bias="ones" if self.unit_biases else "zeros",
            train=train,
        )
        return logits.astype(jnp.float32), taps | fc_taps

    def _conv(self, x, i, kernel_size, strides, padding, train):
        second_gpu = i == 2 or i >= 4
        groups = self.feature_group_count if second_gpu else 1
        # Every layer must divide into the groups of the next.
        features = nn.scale_features(self.features[i - 1], self.width, self.feature_group_count)
        return nn.conv_norm_act(
            x,
            features,
            kernel_size,
            strides=strides,
            padding=padding,
            padding_mode=self.padding_mode,
            feature_group_count=groups,
            norm=self.norm,
            activation=self.activation,
            initializer_name=self.initializer,
            bias="ones" if self.unit_biases and second_gpu else "zeros",
            name=f"conv{i}",
            train=train,
        )

    def _pool(self, x, i):
        return nn.pool(x, self.pooling, self.pool_window, self.pool_strides, padding=self.pool_padding, name=f"pool{i}")

    def _norm(self, x, i):
        return nn.local_norm(x, self.norm, lrn=self.lrn, name=f"norm{i}")

    def _norm_pool(self, x, i):
        return self._norm(self._pool(x, i), i) if self.norm_after_pool else self._pool(self._norm(x, i), i)
