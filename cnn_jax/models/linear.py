"""The linear classifier: one layer of weights, the baseline of every table since the perceptron.

7,850 parameters on 28x28 digits (LeCun et al. 1998, section III: 12.0% test error on MNIST). Trained here by softmax
cross-entropy, where Rosenblatt has the perceptron rule.

Deviations of `small`: 32x32 colour input.
"""

from __future__ import annotations

import flax.linen as fnn
import jax
import jax.numpy as jnp

from cnn_jax import nn
from cnn_jax.models.paper import Paper

PAPER = Paper(
    "The Perceptron: A Probabilistic Model for Information Storage and Organization in the Brain",
    "F. Rosenblatt",
    1958,
    "Psychological Review 65(6)",
)
VARIANTS = {"linear": {"mnist": {}, "small": {}}}


class Linear(fnn.Module):
    """Keywords: `num_classes`; `initializer` of the weights."""

    num_classes: int = 10
    initializer: nn.InitializerName = "zeros"

    @fnn.compact
    def __call__(self, x: jax.Array, *, train: bool = False) -> tuple[jax.Array, dict[str, jax.Array]]:
        """[N, H, W, C] to (logits [N, num_classes], no taps)."""
        x = x.reshape(x.shape[0], -1)
        x = nn.Dense(self.num_classes, kernel_init=nn.initializer(self.initializer), name="fc1")(x)  # classes
        return x.astype(jnp.float32), {}
