"""What an update rule is: it sees the loss of a batch as a function of the parameters, and moves them.

Rules that follow a gradient are made of optax transformations (`gradient_rule`). A rule that needs no gradient calls
`objective.value` at the points it wants to compare, and returns the parameters it prefers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax

from cnn_jax.tasks import Metrics

Aux = tuple[dict[str, Any], Metrics]
"""The collections that the network updated in passing (`batch_stats`), and the metrics of the batch."""


class Objective(NamedTuple):
    """The training loss of one batch.

    Attributes:
        value: `(params) -> (loss, aux)`.
        gradient: `(params) -> (gradient, aux)`.
    """

    value: Callable[[Any], tuple[jax.Array, Aux]]
    gradient: Callable[[Any], tuple[Any, Aux]]


class UpdateRule(NamedTuple):
    """How parameters change in one step.

    Attributes:
        init: `(params) -> opt_state`.
        update: `(objective, params, opt_state, scale, key) -> (params, opt_state, aux)`; `scale` multiplies the
            learning rate (reduce on plateau), `key` is this step's, for rules that draw.
    """

    init: Callable[[Any], Any]
    update: Callable[[Objective, Any, Any, jax.Array | float, jax.Array], tuple[Any, Any, Aux]]


def gradient_rule(tx: optax.GradientTransformation) -> UpdateRule:
    """The rule that adds what `tx` makes of the gradient; the metrics gain `grad_norm`."""

    def update(objective: Objective, params: Any, opt_state: Any, scale: jax.Array | float, key: jax.Array):
        del key
        gradient, (model_state, metrics) = objective.gradient(params)
        updates, opt_state = tx.update(gradient, opt_state, params)
        updates = jax.tree.map(lambda u: u * scale, updates)
        metrics = {**metrics, "grad_norm": optax.tree.norm(gradient)}
        return optax.apply_updates(params, updates), opt_state, (model_state, metrics)

    return UpdateRule(tx.init, update)
