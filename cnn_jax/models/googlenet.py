"""GoogLeNet: nine inception modules, global average pooling, 6,998,552 parameters.

`paper` is table 1 with a plain 7x7 first convolution (its printed 2.7K parameters are those of a separable one), local
response norm and pools that round up. `torchvision` has batch norm without biases, 3x3 where the paper has 5x5, and
2x2 in the fourth pool. `aux_heads=True` adds the two auxiliary classifiers after 4a and 4d, whose logits are the taps
`aux_4a` and `aux_4d` while training; the paper adds 0.3 of their losses.

Deviations of `small`: a quarter of the features for 32x32 input, one 3x3 convolution of 32 features before the modules
in place of three convolutions, modules 3a, 3b, 4a, 4c and 5b, no dropout, no norm, He's initialiser.
"""

from __future__ import annotations

from typing import Literal

import flax.linen as fnn
import jax
import jax.numpy as jnp

from cnn_jax import nn
from cnn_jax.errors import ConfigError
from cnn_jax.models.keywords import did_you_mean
from cnn_jax.models.paper import Paper

PAPER = Paper(
    "Going Deeper with Convolutions",
    "C. Szegedy, W. Liu, Y. Jia, P. Sermanet, S. Reed, D. Anguelov, D. Erhan, V. Vanhoucke, A. Rabinovich",
    2014,
    "CVPR 2015 (arXiv 1409.4842, 2014)",
)
_EPSILON = 1e-3  # of batch norm, torchvision's
TABLE_1 = {  #     1x1  reduce  3x3  reduce 5x5  pool     output of the paper's network
    "3a": nn.Widths(64, 96, 128, 16, 32, 32),  #         28x28x256
    "3b": nn.Widths(128, 128, 192, 32, 96, 64),  #       28x28x480
    "4a": nn.Widths(192, 96, 208, 16, 48, 64),  #        14x14x512
    "4b": nn.Widths(160, 112, 224, 24, 64, 64),  #       14x14x512
    "4c": nn.Widths(128, 128, 256, 24, 64, 64),  #       14x14x512
    "4d": nn.Widths(112, 144, 288, 32, 64, 64),  #       14x14x528
    "4e": nn.Widths(256, 160, 320, 32, 128, 128),  #     14x14x832
    "5a": nn.Widths(256, 160, 320, 32, 128, 128),  #     7x7x832
    "5b": nn.Widths(384, 192, 384, 48, 128, 128),  #     7x7x1024
}
VARIANTS = {
    "googlenet": {
        "paper": {},
        "torchvision": {"norm": "batch", "kernel_size_5x5": 3, "pool4_window": 2, "dropout": 0.2},
        "small": {
            "num_classes": 10,
            "stem": "small",
            "kernel_size": 3,
            "strides": 1,
            "modules": ("3a", "3b", "4a", "4c", "5b"),
            "module_width": 0.25,
            "norm": "none",
            "dropout": 0.0,
            "initializer": "he",
        },
    }
}


class GoogLeNet(fnn.Module):
    """Keywords.

    `modules`: rows of table 1, with a pool wherever the digit rises; `inception` "reduced" or "naive" (figure 2);
    `module_width` scales the modules, `width` everything; `stem` "paper" or "small" (conv1 only), `kernel_size` and
    `strides` of its first convolution; `norm` "lrn" (with `lrn`: n, alpha, beta, k) and "contrast" stand after pool1
    and conv2; `head` "gap" or "fc" (flattened).
    """

    num_classes: int = 1000
    stem: Literal["paper", "small"] = "paper"
    modules: tuple[str, ...] = ("3a", "3b", "4a", "4b", "4c", "4d", "4e", "5a", "5b")
    width: float = 1.0
    module_width: float = 1.0
    kernel_size: int = 7
    strides: int = 2
    inception: nn.InceptionName = "reduced"
    kernel_size_5x5: int = 5
    pooling: nn.PoolName = "max"
    pool_window: int = 3
    pool4_window: int = 3
    norm: nn.NormName = "lrn"
    lrn: nn.LRNConstants = nn.LRN
    activation: nn.ActivationName = "relu"
    head: Literal["gap", "fc"] = "gap"
    dropout: float = 0.4
    aux_heads: bool = False
    initializer: nn.InitializerName = "glorot"

    @fnn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """[N, H, W, C] to (logits [N, num_classes], taps)."""
        taps = {}
        if self.stem == "paper":  #                                                     224x224
            x = self._conv(x, 64, self.kernel_size, "conv1", train, self.strides)  #    112x112x64
            x = self._norm(self._pool(x, self.pool_window, "pool1"), "norm1")  #        56x56x64
            x = self._conv(x, 64, 1, "conv2_reduce", train)  #                          56x56x64
            x = self._norm(self._conv(x, 192, 3, "conv2", train), "norm2")  #           56x56x192
        else:
            x = self._conv(x, 32, self.kernel_size, "conv1", train, self.strides)
        stage = 2
        for row in self.modules:
            if row not in TABLE_1:
                raise ConfigError(49, f"googlenet: unknown module {row!r}{did_you_mean(row, TABLE_1)}")
            if int(row[0]) != stage:  #                                                 28x28, 14x14, 7x7
                before, stage = int(row[0]) - 1, int(row[0])
                x = self._pool(x, self.pool4_window if before == 4 else self.pool_window, f"pool{before}")
                taps[f"pool{before}"] = x
            x = taps[f"inception_{row}"] = self._inception(x, row, train)
            if self.aux_heads and row in ("4a", "4d") and (train or self.is_initializing()):
                taps[f"aux_{row}"] = self._auxiliary(x, f"aux_{row}", train)
        x = nn.GlobalAvgPool(name="gap")(x) if self.head == "gap" else x.reshape(x.shape[0], -1)  # 1024
        x = taps["pre_logits"] = nn.Dropout(self.dropout, name="dropout")(x, train=train)
        x = nn.Dense(self.num_classes, kernel_init=nn.classifier_initializer(self.initializer), name="fc")(x)  # classes
        return x.astype(jnp.float32), taps

    def _conv(self, x, features, kernel_size, name, train, strides=1):
        return nn.conv_norm_act(
            x,
            nn.scale_features(features, self.width),
            kernel_size,
            strides=strides,
            padding=nn.same_padding(kernel_size),
            use_bias=self.norm != "batch",
            norm=self.norm,
            activation=self.activation,
            initializer_name=self.initializer,
            epsilon=_EPSILON,
            name=name,
            train=train,
        )

    def _inception(self, x, row, train):
        return nn.Inception(
            nn.Widths(*(nn.scale_features(f, self.width * self.module_width) for f in TABLE_1[row])),
            kind=self.inception,
            kernel_size_5x5=self.kernel_size_5x5,
            norm=self.norm,
            activation=self.activation,
            kernel_init_name=self.initializer,
            epsilon=_EPSILON,
            name=f"inception_{row}",
        )(x, train=train)

    def _auxiliary(self, x, name, train):
        settings = (self.num_classes, self.width, self.norm, self.activation, self.initializer)
        return nn.AuxiliaryHead(*settings, epsilon=_EPSILON, name=name)(x, train=train)

    def _pool(self, x, window, name):
        return nn.pool(x, self.pooling, window, 2, padding="CEIL", name=name)

    def _norm(self, x, name):
        return nn.local_norm(x, self.norm, lrn=self.lrn, name=name)
