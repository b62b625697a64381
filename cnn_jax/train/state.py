"""Everything that changes while training."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from cnn_jax.tasks import Task
from cnn_jax.train.plateau import Plateau, initial_plateau
from cnn_jax.train.rule import UpdateRule
from cnn_jax.train.scalars import Scalars


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
        average: averaged variables (`average.py`), or None where none are kept.
        plateau: state of the schedule `plateau`, or None with another schedule.
        scalars: the numbers of the config that the program is given (`scalars.py`); they never change.
    """

    step: jax.Array
    params: Any
    model_state: Any
    opt_state: Any
    key: jax.Array
    average: Any = None
    plateau: Plateau | None = None
    scalars: Scalars = dataclasses.field(default_factory=dict)

    @property
    def variables(self) -> dict[str, Any]:
        """The variables that are trained, as `model.apply` takes them."""
        return {"params": self.params, **self.model_state}

    @property
    def eval_variables(self) -> dict[str, Any]:
        """The variables to evaluate and to use: the averaged ones where an average is kept."""
        return self.variables if self.average is None else self.average


def create_state(
    task: Task,
    rule: UpdateRule,
    seed: int | jax.Array,
    scalars: Scalars | None = None,
    *,
    average: bool = False,
    plateau: bool = False,
) -> TrainState:
    """The state before the first step, a pure function of `seed` and `scalars`."""
    init_key, key = jax.random.split(jax.random.key(seed))
    variables = task.init(init_key)
    params, model_state = variables["params"], {k: v for k, v in variables.items() if k != "params"}
    return TrainState(
        jnp.zeros((), jnp.int32),
        params,
        model_state,
        rule.init(params),
        key,
        average=variables if average else None,
        plateau=jax.tree.map(jnp.asarray, initial_plateau()) if plateau else None,
        scalars=scalars or {},
    )


def is_finite(state: TrainState) -> jax.Array:
    """Whether every parameter, statistic, optimiser value and average is finite: bool []."""
    leaves = jax.tree.leaves((state.params, state.model_state, state.opt_state, state.average))
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in leaves]))


def not_finite(state: TrainState) -> list[str]:
    """The paths of what is not finite, `params.conv1.kernel`."""
    parts = {"params": state.params, "model_state": state.model_state, "opt_state": state.opt_state}
    flat, _ = jax.tree_util.tree_flatten_with_path(parts)
    return [
        jax.tree_util.keystr(path, simple=True, separator=".")
        for path, leaf in flat
        if not bool(jnp.all(jnp.isfinite(leaf)))
    ]
