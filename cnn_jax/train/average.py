"""Averages of the weights, evaluated in place of the weights themselves.

The network's running statistics are averaged with the weights, by the same rule: they stand in for the statistics that
the averaged weights would have. Both the raw and the averaged variables are in every checkpoint; evaluation, the choice
of the best checkpoint and `cnn_jax.load` use the averaged ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Average = Callable[[Any, Any, jax.Array], Any]
"""`(average, variables, step) -> average`: the average after the update number `step`, counted from 1."""


def make_average(average: Any, total_steps: int) -> Average | None:
    """The rule that `config.average` names, or None.

    Args:
        average: `config.average`. `ema`: an exponential moving average; its decay is min(`decay`, (1 + n) / (10 + n))
            after n updates, so that the first weights are soon forgotten (as TensorFlow's, which trained Inception and
            Xception). `polyak`: the mean of the weights after every update (Polyak and Juditsky 1992).
        total_steps: length of the training; until the fraction `start` of it the average is the weights themselves.
    """
    if average.name == "none":
        return None
    start = round(average.start * total_steps)

    def weight_of_new(count: jax.Array) -> jax.Array:
        if average.name == "polyak":
            return 1 / count
        return 1 - jnp.minimum(average.decay, (1 + count) / (10 + count))

    def update(mean: Any, variables: Any, step: jax.Array) -> Any:
        count = (step - start).astype(jnp.float32)
        share = jnp.where(count <= 0, 1.0, weight_of_new(jnp.maximum(count, 1.0)))
        # As a convex combination: at share 1 it is the new value exactly, whatever stood there before.
        return jax.tree.map(lambda m, v: (1 - share) * m + share * v, mean, variables)

    return update
