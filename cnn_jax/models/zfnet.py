"""ZFNet: AlexNet with a smaller window and stride in its first layers, and without groups.

`paper` is figure 3: conv1 7x7/2 (11x11/4 before), conv2 5x5/2, contrast norm after pooling. Its sizes 110, 55, 26, 13,
6 need padding 1 in conv1 and pools that round up. `slides` is the paper's model (b), with 512, 1024, 512 features in
conv3 to conv5 (table 3). The norm is AlexNet's across channels.

Deviations of `small`: conv1 3x3/1 for 32x32 input (half of AlexNet small's window and stride, as in the paper), conv2
5x5/2 with padding 2, 3/8 of the features, hidden layers of 512, no dropout, He's initialiser.
"""

from __future__ import annotations

from typing import Literal

from cnn_jax import nn
from cnn_jax.models.alexnet import AlexNet
from cnn_jax.models.paper import Paper

PAPER = Paper(
    "Visualizing and Understanding Convolutional Networks",
    "M. D. Zeiler, R. Fergus",
    2013,
    "ECCV 2014 (arXiv 1311.2901, 2013)",
)
VARIANTS = {
    "zfnet": {
        "paper": {},
        "slides": {"features": (96, 256, 512, 1024, 512)},
        "small": {
            "num_classes": 10,
            "features": (36, 96, 144, 144, 96),
            "kernel_size": 3,
            "strides": 1,
            "padding_2": 2,
            "head_features": (512, 512),
            "dropout": 0.0,
            "initializer": "he",
        },
    }
}


class ZFNet(AlexNet):
    """AlexNet with other numbers; its keywords are AlexNet's."""

    kernel_size: int = 7
    strides: int = 2
    padding: int = 1
    strides_2: int = 2
    padding_2: int = 0
    feature_group_count: int = 1
    pool_padding: Literal["VALID", "CEIL"] = "CEIL"
    norm_after_pool: bool = True
    unit_biases: bool = False
    initializer: nn.InitializerName = "gaussian"
