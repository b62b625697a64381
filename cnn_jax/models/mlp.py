"""Multi-layer perceptrons: `mlp:300` has one hidden layer of 300 units, `mlp:300-100` two.

The networks of LeCun et al. 1998, sections III.C.5 and III.C.6 (300, 1000, 300-100, 500-150 hidden units on 28x28
digits), with their scaled tanh, and Glorot's initialiser, which plain SGD needs.

Deviations of `small`: 32x32 colour input, two hidden layers 512-256, ReLU with He's initialiser.
"""

from __future__ import annotations

import flax.linen as fnn
import jax
import jax.numpy as jnp

from cnn_jax import nn
from cnn_jax.models.paper import Paper

PAPER = Paper(
    "Learning Representations by Back-propagating Errors",
    "D. E. Rumelhart, G. E. Hinton, R. J. Williams",
    1986,
    "Nature 323",
)
VARIANTS = {
    "mlp": {
        "300": {"features": (300,)},
        "1000": {"features": (1000,)},
        "300-100": {"features": (300, 100)},
        "500-150": {"features": (500, 150)},
        "small": {"features": (512, 256), "activation": "relu", "initializer": "he"},
    }
}


def variant(family: str, name: str) -> dict:
    """Keywords of a variant that is not in the table: "500-300" is two hidden layers."""
    del family
    return {"features": tuple(int(units) for units in name.split("-"))}


class MLP(fnn.Module):
    """Keywords: `features` of the hidden layers; `depth` repeats the first of them so many times (0: as they are)."""

    num_classes: int = 10
    features: tuple[int, ...] = (300,)
    depth: int = 0
    width: float = 1.0
    activation: nn.ActivationName = "scaled_tanh"
    dropout: float = 0.0
    initializer: nn.InitializerName = "glorot"

    @fnn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """[N, H, W, C] to (logits [N, num_classes], taps fc1, ...)."""
        hidden = self.features[:1] * self.depth if self.depth else self.features
        logits, taps = nn.fc_head(
            x,
            [nn.scale_features(units, self.width) for units in hidden],
            self.num_classes,
            first=1,
            activation=self.activation,
            dropout=self.dropout,
            initializer_name=self.initializer,
            train=train,
        )
        return logits.astype(jnp.float32), taps
