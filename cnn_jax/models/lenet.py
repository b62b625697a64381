"""LeNet: the 1989 zip-code network, LeNet-5 of 1998, and LeNet-5 as it is drawn today.

`1989` (LeCun et al. 1989, "Backpropagation Applied to Handwritten Zip Code Recognition"): 9,760 parameters, units of
the first two layers have a bias each, every H2 map sees 8 of the 12 H1 maps. The paper does not print which 8: these
are those of karpathy/lecun1989-repro. The logits are the output units after tanh, as the mean squared error needs them.
`1998`: 60,000 parameters; C3 sees S2 through table 1, S2 and S4 are trainable averages, the outputs are fixed Euclidean
radial basis functions to ten 7x12 bitmaps. The bitmaps are drawn after figure 3, not copied from it pixel by pixel;
logits are the negated distances.
Both start from uniform weights in +-2.4 / fan-in, as in 1998, for second-order training; plain SGD wants "glorot".
`modern`: 61,706 parameters; full convolutions, plain average pooling, tanh, a linear classifier.

Deviations of `small` from `modern`: 32x32 colour input (62,006 parameters).
"""

from __future__ import annotations

from typing import Literal

import flax.linen as fnn
import jax
import jax.numpy as jnp

from cnn_jax import nn
from cnn_jax.errors import ConfigError, GeometryError
from cnn_jax.models.lenet_layers import H2_SEES, PartialConv, RadialBasis, Subsample, UnitBiasConv
from cnn_jax.models.paper import Paper

PAPER = Paper(
    "Gradient-Based Learning Applied to Document Recognition",
    "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner",
    1998,
    "Proceedings of the IEEE 86(11)",
)
VARIANTS = {
    "lenet": {
        "1989": {"form": "1989", "initializer": "lecun"},
        "1998": {"form": "1998", "activation": "scaled_tanh", "initializer": "lecun"},
        "modern": {},
        "small": {},
    }
}


class LeNet(fnn.Module):
    """Keywords of `modern` and `small`: all; 1989 and 1998 are fixed but for `activation` and `initializer`.

    `features` of the convolutions, each followed by pooling; `kernel_size`, `strides`, `padding` of every
    convolution; `pooling`, `pool_window`, `pool_strides`; `head`: hidden layers `head_features`, or "gap" for none.
    """

    num_classes: int = 10
    form: Literal["modern", "1989", "1998"] = "modern"
    features: tuple[int, ...] = (6, 16)
    head: Literal["fc", "gap"] = "fc"
    head_features: tuple[int, ...] = (120, 84)
    width: float = 1.0
    kernel_size: int = 5
    strides: int = 1
    padding: int = 0
    padding_mode: nn.PaddingModeName = "zeros"
    pooling: nn.PoolName = "avg"
    pool_window: int = 2
    pool_strides: int = 2
    activation: nn.ActivationName = "tanh"
    norm: nn.NormName = "none"
    lrn: nn.LRNConstants = nn.LRN
    dropout: float = 0.0
    initializer: nn.InitializerName = "glorot"

    @fnn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """[N, H, W, C] to (logits [N, num_classes], taps)."""
        if self.form != "modern" and self.num_classes != 10:
            raise ConfigError(47, f"lenet:{self.form} has ten outputs, one per digit: num_classes must be 10")
        if self.form != "modern" and x.shape[-1] != 1:
            raise GeometryError(22, f"lenet:{self.form} takes grey images, 1 channel and not {x.shape[-1]}", "input")
        logits, taps = {"1989": self._1989, "1998": self._1998, "modern": self._modern}[self.form](x, train)
        return logits.astype(jnp.float32), taps

    def _modern(self, x, train):  #                                                            32x32
        taps = {}
        for i, features in enumerate(self.features, 1):
            x = nn.conv_norm_act(  #                                                           28x28x6    10x10x16
                x,
                nn.scale_features(features, self.width),
                self.kernel_size,
                strides=self.strides,
                padding=self.padding,
                padding_mode=self.padding_mode,
                norm=self.norm,
                activation=self.activation,
                initializer_name=self.initializer,
                name=f"conv{i}",
                train=train,
            )
            x = nn.local_norm(x, self.norm, lrn=self.lrn, name=f"norm{i}")
            x = taps[f"pool{i}"] = nn.pool(  #                                                 14x14x6    5x5x16
                x, self.pooling, self.pool_window, self.pool_strides, name=f"pool{i}"
            )
        hidden = [nn.scale_features(units, self.width) for units in self.head_features]
        logits, fc_taps = nn.fc_head(  #                                                       120, 84, classes
            nn.GlobalAvgPool(name="gap")(x) if self.head == "gap" else x,
            () if self.head == "gap" else hidden,
            self.num_classes,
            first=1,
            activation=self.activation,
            dropout=self.dropout,
            initializer_name=self.initializer,
            train=train,
        )
        return logits, taps | fc_taps

    def _1998(self, x, train):  #                                                              32x32x1
        del train
        act, init, taps = self.activation, nn.initializer(self.initializer), {}
        x = nn.Activation(act, name="C1_squash")(nn.Conv(6, 5, padding=0, kernel_init=init, name="C1")(x))  # 28x28x6
        x = taps["S2"] = nn.Activation(act, name="S2_squash")(Subsample(name="S2")(x))  #      14x14x6
        x = nn.Activation(act, name="C3_squash")(PartialConv(init, name="C3")(x))  #           10x10x16
        x = taps["S4"] = nn.Activation(act, name="S4_squash")(Subsample(name="S4")(x))  #      5x5x16
        x = nn.Activation(act, name="C5_squash")(nn.Conv(120, 5, padding=0, kernel_init=init, name="C5")(x))  # 1x1x120
        x = taps["C5"] = x.reshape(x.shape[0], -1)
        x = taps["F6"] = nn.Activation(act, name="F6_squash")(nn.Dense(84, kernel_init=init, name="F6")(x))  # 84
        return RadialBasis(name="OUTPUT")(x), taps  #                                          10

    def _1989(self, x, train):  #                                                              16x16x1
        del train
        act, init, taps = self.activation, nn.initializer(self.initializer), {}
        x = UnitBiasConv(((0,),), init, name="H1")(x)  #                                       8x8x12
        x = taps["H1"] = nn.Activation(act, name="H1_squash")(x)
        x = UnitBiasConv(H2_SEES, init, name="H2")(x)  #                                       4x4x12
        x = taps["H2"] = nn.Activation(act, name="H2_squash")(x)
        x = nn.Dense(30, kernel_init=init, name="H3")(x.reshape(x.shape[0], -1))  #            30
        x = taps["H3"] = nn.Activation(act, name="H3_squash")(x)
        x = nn.Dense(self.num_classes, kernel_init=init, name="out")(x)  #                     10
        return nn.Activation(act, name="out_squash")(x), taps
