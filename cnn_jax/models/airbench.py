"""airbench: the network of the CIFAR-10 speed records, with a first layer that whitens patches.

A frozen 2x2 convolution, made from the training images (`config.freeze=("whiten/kernel",)` keeps it so), then three
blocks. Norms have a bias and no scale; convolutions begin as the identity, as far as channels go.

`94` is section 3 of the paper; `95` and `96` are wider, and `96` is deeper, with a shortcut around the last two
convolutions of a block (`airbench96.py` since June 2024, its activation after the sum). `94-muon` is the network of
`airbench94_muon.py`: the head starts from a standard deviation of one and gives the mean of its products, not their sum
times 1/9.

Deviations: the bias of the whitening layer starts from zero in `94-muon`, too, where Torch draws it.
"""

from __future__ import annotations

from typing import Literal

import flax.linen as fnn
import jax
import jax.numpy as jnp

from cnn_jax import nn
from cnn_jax.errors import ConfigError
from cnn_jax.models.paper import Paper

PAPER = Paper("94% on CIFAR-10 in 3.29 Seconds on a Single GPU", "K. Jordan", 2024, "arXiv 2404.00498")
VARIANTS = {
    "airbench": {
        "94": {},
        "94-muon": {"head": "mean"},
        "95": {"features": (128, 384, 384)},
        "96": {"features": (128, 512, 512), "depth": 3, "residual": True, "norm_momentum": 0.9},
    }
}


class Airbench(fnn.Module):
    """Keywords.

    `features` of each block's convolutions, times `width`; `whitening`: side of the patches that the first layer
    whitens; `depth`: convolutions in a block; `residual`: a shortcut around all of them but the first;
    `norm_momentum`: decay of the running statistics; `head`: logits are the products times 1/9 ("ninth") or, from
    weights of deviation one, their mean ("mean").
    """

    num_classes: int = 10
    features: tuple[int, ...] = (64, 256, 256)
    width: float = 1.0
    whitening: int = 2
    depth: int = 2
    residual: bool = False
    kernel_size: int = 3
    activation: nn.ActivationName = "gelu"
    norm_momentum: float = 0.6
    head: Literal["ninth", "mean"] = "ninth"
    initializer: nn.InitializerName = "partial_identity"

    @fnn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """[N, H, W, C] to (logits [N, num_classes], taps)."""
        if self.depth < 1:
            raise ConfigError(286, f"airbench: depth={self.depth} must be at least 1 convolution a block")
        taps, both_signs = {}, 2 * self.whitening**2 * x.shape[-1]
        x = nn.Conv(both_signs, self.whitening, padding="VALID", kernel_init=nn.whitening(), name="whiten")(x)
        x = taps["whiten"] = nn.Activation("gelu", name="whiten_gelu")(x)  # 31x31x24
        for i, features in enumerate(self.features, 1):
            first = None
            for j in range(1, self.depth + 1):
                name = f"block{i}_conv{j}"
                x = nn.Conv(  #                                              31x31x64, 15x15x256, 7x7x256
                    nn.scale_features(features, self.width),
                    self.kernel_size,
                    padding=nn.same_padding(self.kernel_size),
                    use_bias=False,
                    kernel_init=nn.initializer(self.initializer),
                    name=name,
                )(x)
                if j == 1:
                    x = nn.MaxPool(2, name=f"block{i}_pool")(x)  #           15x15x64, 7x7x256, 3x3x256
                x = nn.BatchNorm(self.norm_momentum, 1e-12, use_scale=False, name=f"block{i}_norm{j}")(x, train=train)
                if self.residual and first is not None and j == self.depth:
                    x = x + first
                x = nn.Activation(self.activation, name=f"{name}_{self.activation}")(x)
                first = x if j == 1 else first
            taps[f"block{i}"] = x
        x = nn.MaxPool(3, name="pool")(x)  #                                 1x1x256
        x = taps["pre_logits"] = x.reshape(x.shape[0], -1)
        deviation_one = fnn.initializers.normal(1.0)
        kernel_init = deviation_one if self.head == "mean" else nn.initializer("uniform")
        scale = 1 / x.shape[-1] if self.head == "mean" else 1 / 9
        x = nn.Dense(self.num_classes, use_bias=False, kernel_init=kernel_init, name="head")(x) * scale  # classes
        return x.astype(jnp.float32), taps
