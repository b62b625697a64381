"""Activation and dropout layers, so that they stand in the table with a name of their own."""

from __future__ import annotations

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from cnn_jax import ops

ActivationName = Literal[
    "relu", "tanh", "scaled_tanh", "sigmoid", "leaky_relu", "prelu", "elu", "gelu", "silu", "maxout", "identity"
]


class Activation(nn.Module):
    """The activation called `kind`; `prelu` learns one slope per channel, from 0.25 (He et al. 2015, section 2.1)."""

    kind: str

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., C], the same shape (maxout halves the channels)."""
        if self.kind == "prelu":
            slope = self.param("slope", nn.initializers.constant(0.25), (x.shape[-1],), jnp.float32)
            return ops.prelu(x, slope)
        return ops.activation(self.kind)(x)


class Dropout(nn.Module):
    """Drops values with probability `rate` while training; the key is the stream "dropout"."""

    rate: float

    @nn.compact
    def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
        """[...], the same shape."""
        if not train or self.rate == 0:
            return x
        return ops.dropout(self.make_rng("dropout"), x, self.rate)
