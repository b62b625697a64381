"""ResNet and the plain networks it is compared with: ImageNet (table 1) and CIFAR-10 (section 4.2) forms.

`resnet:50` and deeper step in the 3x3 of a bottleneck, as Torch does; `-v1` in its first 1x1, as the paper's own models
do. Shortcuts are option B (projections where the shape changes) but for `34-A` (zero padding, as table 2) and `34-C`.
`plain` has none. `resnet_cifar:N`, N = 6n+2, has three stages of n basic blocks with option A.

Deviations of `small`: none from the paper's CIFAR-10 network of 20 layers; `depth` is 8, 14, 20, 26, ...
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
    "Deep Residual Learning for Image Recognition",
    "K. He, X. Zhang, S. Ren, J. Sun",
    2015,
    "CVPR 2016 (arXiv 1512.03385, 2015)",
)
TABLE_1 = {  # depth: (bottleneck, blocks of conv2_x to conv5_x)
    18: (False, (2, 2, 2, 2)),
    34: (False, (3, 4, 6, 3)),
    50: (True, (3, 4, 6, 3)),
    101: (True, (3, 4, 23, 3)),
    152: (True, (3, 8, 36, 3)),
}
_CIFAR = {"num_classes": 10, "stem": "cifar", "features": (16, 32, 64), "shortcut": "A", "depth": 20}
_PLAIN = {"shortcut": "none"}
VARIANTS = {
    "resnet": {
        **{str(depth): {"depth": depth} for depth in TABLE_1},
        **{f"{depth}-v1": {"depth": depth, "strides_in_1x1": True} for depth in (50, 101, 152)},
        **{f"34-{option}": {"depth": 34, "shortcut": option} for option in "AC"},
        "small": _CIFAR,
    },
    "plain": {str(depth): {"depth": depth} | _PLAIN for depth in (18, 34)},
    "resnet_cifar": {str(depth): _CIFAR | {"depth": depth} for depth in (20, 32, 44, 56, 110, 1202)},
    "plain_cifar": {str(depth): _CIFAR | {"depth": depth} | _PLAIN for depth in (20, 32, 44, 56, 110)},
}


def variant(family: str, name: str) -> dict:
    """Keywords of a CIFAR network of any depth."""
    return _CIFAR | {"depth": int(name)} | (_PLAIN if family == "plain_cifar" else {})


class ResNet(fnn.Module):
    """Keywords.

    `depth`: a row of table 1, or 6n+2 with `stem` "cifar"; or `stage_sizes` (and `bottleneck`), which win; `features`
    of the stages; `kernel_size` of the blocks' convolutions; `shortcut` A, B, C or none (a plain net); `strides_in_1x1`
    of bottlenecks; `strides` of the stages after the first; `stem_kernel_size` and `stem_strides` of conv1 (by default
    7 and 2 or, with `stem` "cifar", 3 and 1); `pooling`, `pool_window` and `pool_strides` of pool1; `head` "gap" or
    "fc" (flattened).
    """

    num_classes: int = 1000
    depth: int = 50
    stage_sizes: tuple[int, ...] = ()
    bottleneck: bool = False
    features: tuple[int, ...] = (64, 128, 256, 512)
    width: float = 1.0
    stem: Literal["imagenet", "cifar"] = "imagenet"
    stem_kernel_size: int | None = None
    stem_strides: int | None = None
    pooling: nn.PoolName = "max"
    pool_window: int = 3
    pool_strides: int = 2
    kernel_size: int = 3
    strides: int = 2
    shortcut: nn.ShortcutName = "B"
    strides_in_1x1: bool = False
    norm: nn.ConvNormName = "batch"
    activation: nn.ActivationName = "relu"
    head: Literal["gap", "fc"] = "gap"
    dropout: float = 0.0
    initializer: nn.InitializerName = "he"

    @fnn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """[N, H, W, C] to (logits [N, num_classes], taps)."""
        taps, bottleneck, stage_sizes = {}, *self._stages()
        if self.stem == "imagenet":  #                                                224x224
            x = self._stem(x, self.stem_kernel_size or 7, self.stem_strides or 2, train)  # 112x112x64
            padding = self.pool_window // 2
            x = nn.pool(x, self.pooling, self.pool_window, self.pool_strides, padding=padding, name="pool1")
            taps["pool1"] = x  #                                                      56x56x64
        else:  #                                                                      32x32
            x = self._stem(x, self.stem_kernel_size or 3, self.stem_strides or 1, train)
            taps["conv1"] = x  #                                                      32x32x16
        for stage, (size, features) in enumerate(zip(stage_sizes, self.features, strict=True), 2):
            for block in range(1, size + 1):
                x = nn.ResidualBlock(  #                                              56, 28, 14, 7 or 32, 16, 8
                    nn.scale_features(features, self.width),
                    self.strides if block == 1 and stage > 2 else 1,
                    bottleneck=bottleneck,
                    kernel_size=self.kernel_size,
                    shortcut=self.shortcut,
                    strides_in_1x1=self.strides_in_1x1,
                    norm=self.norm,
                    activation=self.activation,
                    kernel_init_name=self.initializer,
                    name=f"conv{stage}_{block}",
                )(x, train=train)
            taps[f"conv{stage}_x"] = x
        x = nn.GlobalAvgPool(name="gap")(x) if self.head == "gap" else x.reshape(x.shape[0], -1)
        taps["pre_logits"] = x  #                                                     512, 2048 or 64
        x = nn.Dropout(self.dropout, name="dropout")(x, train=train)
        x = nn.Dense(self.num_classes, kernel_init=nn.classifier_initializer(self.initializer), name="fc")(x)  # classes
        return x.astype(jnp.float32), taps

    def _stages(self) -> tuple[bool, tuple[int, ...]]:
        if self.stage_sizes:
            bottleneck, sizes = self.bottleneck, self.stage_sizes
        elif self.stem == "cifar":
            if self.depth < 8 or (self.depth - 2) % 6:
                legal = max(8, round((self.depth - 2) / 6) * 6 + 2)
                raise ConfigError(
                    48, f"resnet: depth={self.depth} must be 6n+2 on CIFAR: 8, 14, 20, ...; near: {legal}"
                )
            bottleneck, sizes = False, ((self.depth - 2) // 6,) * len(self.features)
        elif self.depth in TABLE_1:
            bottleneck, sizes = TABLE_1[self.depth]
        else:
            raise ConfigError(48, f"resnet: depth={self.depth} must be one of {', '.join(map(str, TABLE_1))}")
        if len(sizes) != len(self.features):
            raise ConfigError(39, f"resnet: {len(sizes)} stage_sizes need as many features, not {len(self.features)}")
        return bottleneck, sizes

    def _stem(self, x, kernel_size, strides, train):
        return nn.conv_norm_act(
            x,
            nn.scale_features(self.features[0], self.width),
            kernel_size,
            strides=strides,
            padding=kernel_size // 2,
            use_bias=self.norm == "none",
            norm=self.norm,
            activation=self.activation,
            initializer_name=self.initializer,
            name="conv1",
            train=train,
        )
