"""Everything that changes while training."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax

from cnn_jax.tasks import Task


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """What a checkpoint holds; every random number of a run follows from `key` and `step`.

    Attributes:
        step: int32 [], updates made so far.
        params: the trainable parameters, float32.
        model_state: the other collections of the network (`batch_stats`), float32.
        opt_state: the optimiser's state.
        key: the run's PRNG key; never advanced, only folded.
    """

    step: jax.Array
    params: Any
    model_state: Any
    opt_state: Any
    key: jax.Array

    @property
    def variables(self) -> dict[str, Any]:
        """The variables as `model.apply` takes them."""
        return {"params": self.params, **self.model_state}


def create_state(task: Task, tx: optax.GradientTransformation, seed: int | jax.Array) -> TrainState:
    """The state before the first step, a pure function of `seed`."""
    init_key, key = jax.random.split(jax.random.key(seed))
    variables = task.init(init_key)
    params = variables.pop("params")
    return TrainState(jnp.zeros((), jnp.int32), params, variables, tx.init(params), key)


def is_finite(state: TrainState) -> jax.Array:
    """Whether every parameter, statistic and optimiser value is finite: bool []."""
    leaves = jax.tree.leaves((state.params, state.model_state, state.opt_state))
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))
