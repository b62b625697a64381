"""The inception module (Szegedy et al. 2014, figure 2) and the auxiliary classifier (section 5)."""

from __future__ import annotations

from typing import Literal, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax.nn.activation import Activation, Dropout
from cnn_jax.nn.block import conv_norm_act
from cnn_jax.nn.conv import Dense, same_padding, scale_features
from cnn_jax.nn.initializers import classifier_initializer, initializer
from cnn_jax.nn.pool import AvgPool, MaxPool

InceptionName = Literal["reduced", "naive"]


class Widths(NamedTuple):
    """A row of the paper's table 1."""

    one: int
    reduce_3x3: int
    three: int
    reduce_5x5: int
    five: int
    pool_proj: int


class Inception(nn.Module):
    """Four branches side by side, concatenated in the order 1x1, 3x3, 5x5, pool.

    Attributes:
        widths: features of the six convolutions.
        kind: "reduced" with 1x1 reductions (figure 2b), or "naive" without them (2a), where the pooled input is
            concatenated as it is.
        kernel_size_5x5: 5; torchvision's network has 3 here.
        norm: a norm's name; with "batch" the convolutions have no bias.
        activation: an activation's name.
        kernel_init_name: initialiser of the kernels.
        epsilon: of the norm.
    """

    widths: Widths
    kind: str = "reduced"
    kernel_size_5x5: int = 5
    norm: str = "none"
    activation: str = "relu"
    kernel_init_name: str = "glorot"
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[N, H, W, C] to [N, H, W, sum of the branches]."""

        def conv(x, features, kernel_size, name):
            return conv_norm_act(
                x,
                features,
                kernel_size,
                padding=same_padding(kernel_size),
                use_bias=self.norm != "batch",
                norm=self.norm,
                activation=self.activation,
                initializer_name=self.kernel_init_name,
                epsilon=self.epsilon,
                name=name,
                train=train,
            )

        w, reduced = self.widths, self.kind == "reduced"
        one = conv(x, w.one, 1, "1x1")
        three = conv(conv(x, w.reduce_3x3, 1, "reduce_3x3") if reduced else x, w.three, 3, "3x3")
        five = conv(conv(x, w.reduce_5x5, 1, "reduce_5x5") if reduced else x, w.five, self.kernel_size_5x5, "5x5")
        pooled = MaxPool(3, 1, 1, name="pool")(x)
        pooled = conv(pooled, w.pool_proj, 1, "pool_proj") if reduced else pooled
        return jnp.concatenate([one, three, five, pooled], axis=-1)


class AuxiliaryHead(nn.Module):
    """An auxiliary classifier (section 5): 5x5/3 average pool, 128 1x1 convolutions, 1024 units, 70% dropout.

    Attributes:
        num_classes: units of the classifier.
        width: factor of the other features.
        norm: a norm's name; with "batch" the convolution has no bias.
        activation: an activation's name.
        kernel_init_name: initialiser of the kernels.
        epsilon: of the norm.
    """

    num_classes: int
    width: float
    norm: str
    activation: str
    kernel_init_name: str
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[N, H, W, C] to logits [N, num_classes]."""
        kernel_init = initializer(self.kernel_init_name)
        x = AvgPool(5, 3, name="pool")(x)  #                                         4x4x512
        x = conv_norm_act(  #                                                        4x4x128
            x,
            scale_features(128, self.width),
            1,
            padding=0,
            use_bias=self.norm != "batch",
            norm=self.norm,
            activation=self.activation,
            initializer_name=self.kernel_init_name,
            epsilon=self.epsilon,
            name="conv",
            train=train,
        )
        hidden = Dense(scale_features(1024, self.width), kernel_init=kernel_init, name="fc")
        x = Activation(self.activation, name=f"fc_{self.activation}")(hidden(x.reshape(x.shape[0], -1)))  # 1024
        x = Dropout(0.7, name="dropout")(x, train=train)
        return Dense(self.num_classes, kernel_init=classifier_initializer(self.kernel_init_name), name="classifier")(
            x
        ).astype(jnp.float32)  # classes
