"""VGG: stacks of 3x3 convolutions, 2x2 pooling between them (table 1: configurations A to E).

`C` has 1x1 convolutions at the end of its last three stages. `A-LRN` normalises after conv1_1. `-BN` puts batch norm
after every convolution, which came later: it is torchvision's addition and keeps the biases.

Deviations of `small`: A at a quarter of the features for 32x32 input, hidden layers of 256, no dropout; He's
initialiser in place of copying layers from a shallower network (section 3.1).
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
    "Very Deep Convolutional Networks for Large-Scale Image Recognition",
    "K. Simonyan, A. Zisserman",
    2014,
    "ICLR 2015 (arXiv 1409.1556, 2014)",
)
_A = {"stage_sizes": (1, 1, 2, 2, 2)}  # 11 weight layers
_B = {"stage_sizes": (2, 2, 2, 2, 2)}  # 13
_C = {"stage_sizes": (2, 2, 3, 3, 3), "last_1x1": True}  # 16
_D = {"stage_sizes": (2, 2, 3, 3, 3)}  # 16
_E = {"stage_sizes": (2, 2, 4, 4, 4)}  # 19
_BN = {"norm": "batch"}
VARIANTS = {
    "vgg": {
        "A": _A,
        "A-LRN": _A | {"norm": "lrn"},
        "B": _B,
        "C": _C,
        "D": _D,
        "E": _E,
        "A-BN": _A | _BN,
        "B-BN": _B | _BN,
        "C-BN": _C | _BN,
        "D-BN": _D | _BN,
        "E-BN": _E | _BN,
        "small": _A
        | {
            "num_classes": 10,
            "features": (16, 32, 64, 128, 128),
            "head_features": (256, 256),
            "dropout": 0.0,
            "initializer": "he",
        },
    }
}


class VGG(fnn.Module):
    """Keywords.

    `stage_sizes` and `features` of the stages, or `depth`: the number of weight layers with three fully connected ones
    (11, 13, 16 and 19 are A, B, D and E); `kernel_size` and `padding` of the convolutions; `pooling` "strides" lets the
    last convolution of each stage step by two instead; `norm` "lrn" (with `lrn`: n, alpha, beta, k) and "contrast"
    stand after conv1_1 only; `head` "fc" or "gap".
    """

    num_classes: int = 1000
    stage_sizes: tuple[int, ...] = (2, 2, 3, 3, 3)
    features: tuple[int, ...] = (64, 128, 256, 512, 512)
    depth: int = 0
    width: float = 1.0
    kernel_size: int = 3
    padding: int | Literal["same"] = "same"
    padding_mode: nn.PaddingModeName = "zeros"
    last_1x1: bool = False
    pooling: Literal["max", "avg", "strides"] = "max"
    pool_window: int = 2
    pool_strides: int = 2
    norm: nn.NormName = "none"
    lrn: nn.LRNConstants = nn.LRN
    activation: nn.ActivationName = "relu"
    head: Literal["fc", "gap"] = "fc"
    head_features: tuple[int, ...] = (4096, 4096)
    dropout: float = 0.5
    initializer: nn.InitializerName = "glorot"

    @fnn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """[N, H, W, C] to (logits [N, num_classes], taps)."""
        taps = {}
        sizes = stages(self.depth, len(self.features)) if self.depth else self.stage_sizes
        if len(sizes) != len(self.features):
            raise ConfigError(39, f"vgg: {len(sizes)} stage_sizes need as many features, not {len(self.features)}")
        for i, size in enumerate(sizes, 1):
            for j in range(1, size + 1):  #              224x224x64, 112x112x128, 56x56x256, 28x28x512, 14x14x512
                x = taps[f"conv{i}_{j}"] = self._conv(x, i, j, size, train)
            if self.pooling != "strides":  #              112x112x64, 56x56x128, 28x28x256, 14x14x512, 7x7x512
                x = nn.pool(x, self.pooling, self.pool_window, self.pool_strides, name=f"pool{i}")
            taps[f"pool{i}"] = x
        gap = self.head == "gap"
        logits, fc_taps = nn.fc_head(  #                  4096, 4096, classes
            nn.GlobalAvgPool(name="gap")(x) if gap else x,
            () if gap else [nn.scale_features(units, self.width) for units in self.head_features],
            self.num_classes,
            activation=self.activation,
            dropout=self.dropout,
            initializer_name=self.initializer,
            train=train,
        )
        return logits.astype(jnp.float32), taps | fc_taps

    def _conv(self, x, i, j, size, train):
        kernel_size = 1 if self.last_1x1 and i >= 3 and j == size else self.kernel_size
        same = self.padding == "same" or kernel_size == 1
        x = nn.conv_norm_act(
            x,
            nn.scale_features(self.features[i - 1], self.width),
            kernel_size,
            strides=2 if self.pooling == "strides" and j == size else 1,
            padding=nn.same_padding(kernel_size) if same else self.padding,
            padding_mode=self.padding_mode,
            norm=self.norm,
            activation=self.activation,
            initializer_name=self.initializer,
            name=f"conv{i}_{j}",
            train=train,
        )
        return nn.local_norm(x, self.norm, lrn=self.lrn, name="norm1_1") if i == j == 1 else x


def stages(depth: int, count: int) -> tuple[int, ...]:
    """Convolutions per stage of a network with `depth` weight layers: at most two in stages 1 and 2, as in table 1.

    Raises:
        ConfigError: too few layers for a convolution in every stage.
    """
    convolutions = depth - 3
    if convolutions < count:
        raise ConfigError(48, f"vgg: depth={depth} must be at least {count + 3}: {count} stages and 3 further layers")
    first = min(2, convolutions // count)
    head = (first,) * min(2, count - 1)
    rest, left = count - len(head), convolutions - sum(head)
    return (*head, *(left // rest + (k >= rest - left % rest) for k in range(rest)))
